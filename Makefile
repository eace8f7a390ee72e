# pg_pond: every target is a thin call of a script; the scripts say what they own.
PG ?= 15
PG_CONFIG ?= pg_config
PROFILE ?= release
DESTDIR ?=
SUITE ?=
SECONDS ?= 600
SEED ?=
ONLY ?=

.DEFAULT_GOAL := help
.PHONY: help setup build install uninstall package sandbox demo test fuzz fuzz-security lint bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 — /p' $(MAKEFILE_LIST)

setup: ## install what a build needs (Debian packages when root), fetch the pinned downloads
	@scripts/setup build test
	@scripts/fetch duckdb

build: setup ## build for PG=15|16|17|18 (PROFILE=release|dev) into target/stage/
	@case "$(PG)" in 15) ;; *) scripts/fetch postgres ;; esac
	@scripts/build --pg $(PG) --profile $(PROFILE)

install: ## install into the PostgreSQL of PG_CONFIG=… (DESTDIR honoured)
	@scripts/install --pg-config "$(PG_CONFIG)" --profile $(PROFILE) --destdir "$(DESTDIR)"

uninstall: ## remove it from there
	@scripts/install --pg-config "$(PG_CONFIG)" --profile $(PROFILE) --destdir "$(DESTDIR)" --uninstall

package: setup ## tarballs for PG=15|16|17|18 in dist/
	@case "$(PG)" in 15) ;; *) scripts/fetch postgres ;; esac
	@scripts/package --pg $(PG)

sandbox: ## start a private PostgreSQL and S3 server with pg_pond in it (scripts/sandbox has more)
	@scripts/sandbox start --pg $(PG)

demo: ## from nothing to a query over Parquet in S3
	@scripts/demo

test: ## all suites on PG=15|16|17|18|all, or SUITE="duck regress isolation e2e security"
	@scripts/test --pg "$(PG)" --suite "$(SUITE)"

fuzz: ## random queries, lake against heap, for SECONDS=600; SEED=… repeats a run
	@scripts/fuzz --pg "$(PG)" --seconds "$(SECONDS)" $(if $(SEED),--seed "$(SEED)")

fuzz-security: ## damaged files, odd arguments and tampered catalogs, read as an ordinary role, for SECONDS=600; SEED=… repeats a run, ONLY=… one case
	@scripts/fuzz-security --pg "$(PG)" --seconds "$(SECONDS)" $(if $(SEED),--seed "$(SEED)") $(if $(ONLY),--only "$(ONLY)")

lint: ## formatting, clippy, rustdoc, layers, scripts
	@scripts/lint

bench: ## the table of ratios, into bench/results.md
	@scripts/bench

clean: ## remove what was built and this checkout's sandboxes; the download cache stays
	@scripts/sandbox remove
	@scripts/sandbox remove --name test
	@scripts/sandbox remove --name demo
	@scripts/sandbox remove --name bench
	@scripts/sandbox remove --name fuzz
	rm -rf target dist
