//! A SELECT that is put together piece by piece, and printed once, when all of it is known.

use duck::sql;
use duck::sql::{Place, Sql};

use crate::lake::table::select_list;

/// What the printed query holds is asked of this, never of its text.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Names, and the queries within brackets that they stand for.
    pub ctes: Vec<(String, Sql)>,
    /// `DISTINCT`, `DISTINCT ON (…)`.
    pub distinct: Option<Sql>,
    /// The output columns, with their names.
    pub items: Vec<Sql>,
    pub from: Vec<Sql>,
    /// Connected by AND, as all conditions here.
    pub conditions: Vec<Sql>,
    /// One more condition, which is always true and which EXPLAIN leaves out.
    pub companion: Option<Sql>,
    pub groups: Vec<Sql>,
    pub having: Vec<Sql>,
    pub order: Vec<Sql>,
    pub limit: Limit,
}

/// LIMIT and OFFSET.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limit {
    pub rows: Option<i64>,
    pub offset: Option<i64>,
}

impl Limit {
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.rows.is_some() || self.offset.is_some()
    }
}

/// `name AS (…)` of the select list.
#[must_use]
pub fn item(value: &Sql, name: &str) -> Sql {
    sql!("{} AS {}", value, sql::identifier(name))
}

impl Select {
    /// Puts the FROM items in, by their range table indexes.
    pub fn place(&mut self, items: &[(usize, Sql)]) {
        let find = |place: Place| match place {
            Place::Item(wanted) => {
                items.iter().find(|(index, _)| *index == wanted).map(|(_, sql)| sql.clone())
            }
            Place::Table(_) => None,
        };
        for from in &mut self.from {
            *from = from.placed(&find);
        }
    }

    #[must_use]
    pub fn print(&self) -> Sql {
        let mut sql = Sql::new();
        if !self.ctes.is_empty() {
            let ctes = self
                .ctes
                .iter()
                .map(|(name, query)| sql!("{} AS {}", sql::identifier(name), query));
            sql.push(&sql!("WITH {} ", Sql::join(ctes, ", ")));
        }
        sql.push(&"SELECT ");
        if let Some(distinct) = &self.distinct {
            sql.push(&sql!("{} ", distinct));
        }
        sql.push(&select_list(self.items.clone()));
        let companion = self.companion.as_ref();
        let lists: [(&'static str, &[Sql], &'static str, Option<&Sql>); 5] = [
            (" FROM ", &self.from, ", ", None),
            (" WHERE ", &self.conditions, " AND ", companion),
            (" GROUP BY ", &self.groups, ", ", None),
            (" HAVING ", &self.having, " AND ", None),
            (" ORDER BY ", &self.order, ", ", None),
        ];
        for (word, list, separator, elided) in lists {
            if !list.is_empty() {
                sql.push(&word);
                sql.push(&Sql::join(list, separator));
            }
            if let Some(part) = elided {
                let word = if list.is_empty() { word } else { separator };
                sql.push(&sql!("{}{}", word, part).elided());
            }
        }
        for (word, number) in [(" LIMIT ", self.limit.rows), (" OFFSET ", self.limit.offset)] {
            if let Some(number) = number {
                sql.push(&word);
                sql.push(&number);
            }
        }
        sql
    }
}
