//! A connection with an open transaction, which statements use one after the other, each on the
//! driver thread that runs it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::appender;
use crate::connection::Connection;
use crate::driver::Control;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::Instance;

/// How often somebody who waits for the connection looks whether it is cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Where a statement gets its connection.
#[derive(Clone)]
pub enum Source {
    /// A connection of its own, where every statement is a transaction.
    Instance(Arc<Instance>),
    Transaction(Transaction),
}

impl Source {
    #[must_use]
    pub fn instance(&self) -> &Arc<Instance> {
        match self {
            Self::Instance(instance) => instance,
            Self::Transaction(transaction) => &transaction.0.instance,
        }
    }

    /// A connection that `control` interrupts. That of a transaction may be in use: then this waits.
    ///
    /// # Errors
    /// DuckDB's own; [`ErrorKind::Interrupt`] when `control` is cancelled.
    pub fn lease(&self, control: &Control) -> Result<Lease> {
        let (connection, home) = match self {
            Self::Instance(instance) => {
                control.check()?;
                (Connection::new(instance)?, None)
            }
            Self::Transaction(transaction) => {
                (transaction.take(control)?, Some(Arc::clone(&transaction.0)))
            }
        };
        let mut lease = Lease { connection: Some(connection), home, control: Control::default() };
        lease.hand_to(control)?;
        Ok(lease)
    }
}

/// A transaction of DuckDB's, begun when it is first used. Dropping it leaves what it did undone.
#[derive(Clone)]
pub struct Transaction(Arc<Home>);

struct Home {
    instance: Arc<Instance>,
    state: Mutex<State>,
    returned: Condvar,
}

enum State {
    /// Nothing has used it yet.
    Unused,
    Idle(Connection),
    Lent,
    Ended,
}

impl Transaction {
    #[must_use]
    pub fn new(instance: &Arc<Instance>) -> Self {
        Self(Arc::new(Home {
            instance: Arc::clone(instance),
            state: Mutex::new(State::Unused),
            returned: Condvar::new(),
        }))
    }

    fn take(&self, control: &Control) -> Result<Connection> {
        let mut state = self.0.state.lock();
        loop {
            control.check()?;
            match std::mem::replace(&mut *state, State::Lent) {
                State::Idle(connection) => return Ok(connection),
                State::Unused => {
                    drop(state);
                    let begun = Connection::new(&self.0.instance).and_then(|connection| {
                        connection.begin_transaction()?;
                        Ok(connection)
                    });
                    if begun.is_err() {
                        self.0.put_back(State::Unused);
                    }
                    return begun;
                }
                State::Lent => {
                    self.0.returned.wait_for(&mut state, LOOK);
                }
                State::Ended => {
                    *state = State::Ended;
                    return Err(Error::new(ErrorKind::Transaction, "the transaction has ended"));
                }
            }
        }
    }

    /// Ends the transaction by `COMMIT`, waiting for the statement that runs.
    ///
    /// # Errors
    /// DuckDB's own, after which nothing was committed.
    pub fn commit(&self, control: &Control) -> Result<()> {
        self.end(control, "COMMIT")
    }

    /// As [`Transaction::commit`], on the snapshot that the transaction has seen or not at all.
    ///
    /// Where another one was faster, DuckLake otherwise commits again on the new snapshot, but what
    /// some of its functions have sent to the catalog before is lost by then.
    ///
    /// # Errors
    /// DuckDB's own, after which nothing was committed.
    pub fn commit_once(&self, control: &Control) -> Result<()> {
        let connection = self.take(control)?;
        let set = connection.execute_batch("SET SESSION ducklake_max_retry_count = 0");
        self.0.put_back(State::Idle(connection));
        set?;
        self.commit(control)
    }

    /// Ends the transaction by `ROLLBACK`, waiting for the statement that runs. For those who do not
    /// care whether it works.
    pub fn roll_back(&self) {
        let _ = self.end(&Control::default(), "ROLLBACK");
    }

    fn end(&self, control: &Control, statement: &str) -> Result<()> {
        if matches!(*self.0.state.lock(), State::Unused) {
            self.0.put_back(State::Ended);
            return Ok(());
        }
        let connection = self.take(control)?;
        let outcome =
            control.attach(&connection).and_then(|()| connection.end_transaction(statement));
        control.detach();
        drop(connection);
        self.0.put_back(State::Ended);
        outcome
    }
}

impl Home {
    fn put_back(&self, state: State) {
        *self.state.lock() = state;
        self.returned.notify_all();
    }
}

/// A connection for the time of a statement.
pub struct Lease {
    connection: Option<Connection>,
    /// Where it goes back to.
    home: Option<Arc<Home>>,
    control: Control,
}

impl Lease {
    /// Lets `control` interrupt the connection from now on, and nobody else.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupt`] when `control` is cancelled.
    pub fn hand_to(&mut self, control: &Control) -> Result<()> {
        self.control.detach();
        self.control = control.clone();
        control.attach(self)
    }

    /// Whether the connection outlives the lease.
    #[must_use]
    pub fn is_of_transaction(&self) -> bool {
        self.home.is_some()
    }
}

impl Deref for Lease {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "only Drop takes it")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease has a connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.control.detach();
        if let (Some(home), Some(connection)) = (&self.home, self.connection.take()) {
            appender::drop_shipped_tables(&connection);
            home.put_back(State::Idle(connection));
        }
    }
}
