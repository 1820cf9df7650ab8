//! The functions a host offers: typed async Rust functions under names.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    jobs::{
        context::JobContext,
        enqueue::{DEFAULT_ATTEMPTS, MAX_RESULT_BYTES, MOST_ATTEMPTS},
        function_name::FunctionName,
        retry::Backoff,
    },
};

/// Who may order a function to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Anybody who is signed in.
    #[default]
    SignedIn,
    /// Administrators, and the program itself.
    Admin,
    /// The program itself; for everybody else the function does not exist.
    System,
}

/// How a function is run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FunctionOptions {
    /// Who may order it.
    pub access: Access,
    /// How long one attempt may take; then its future is dropped and the attempt has failed. 5 minutes unless set.
    pub timeout: Duration,
    /// How many attempts its jobs have unless the order says otherwise. 5 unless set.
    pub max_attempts: u32,
    /// How long its failed jobs wait.
    pub backoff: Backoff,
}

impl Default for FunctionOptions {
    fn default() -> Self {
        Self {
            access: Access::SignedIn,
            timeout: Duration::from_secs(300),
            max_attempts: DEFAULT_ATTEMPTS,
            backoff: Backoff::default(),
        }
    }
}

impl FunctionOptions {
    /// Any signed-in caller, 5 minutes, 5 attempts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only administrators and the program itself may order it.
    #[must_use]
    pub fn admin_only(mut self) -> Self {
        self.access = Access::Admin;
        self
    }

    /// Only the program itself may order it.
    #[must_use]
    pub fn system_only(mut self) -> Self {
        self.access = Access::System;
        self
    }

    /// One attempt takes at most `timeout`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Its jobs have `attempts` attempts, 1 to 100.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Its failed jobs wait like this.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

/// A function with its types erased: JSON in, JSON out.
pub type Handler = Arc<dyn Fn(JobContext, Value) -> BoxFuture<'static, Result<Value>> + Send + Sync>;
type Check = Arc<dyn Fn(&Value) -> Result<()> + Send + Sync>;

/// A registered function.
#[derive(Clone)]
pub struct Function {
    name: FunctionName,
    options: FunctionOptions,
    handler: Handler,
    check: Check,
}

impl Function {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &FunctionName {
        &self.name
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &FunctionOptions {
        &self.options
    }

    /// Runs it. The future holds everything it needs.
    #[must_use]
    pub fn call(&self, context: JobContext, input: Value) -> BoxFuture<'static, Result<Value>> {
        (self.handler)(context, input)
    }

    /// Whether `input` has the form that the function takes.
    ///
    /// # Errors
    /// `Invalid` (`invalid-input`), with what was expected.
    pub fn check_input(&self, input: &Value) -> Result<()> {
        (self.check)(input)
    }

    fn allows(&self, caller: &Caller) -> Result<()> {
        let is_system = caller.user_id().is_none() && !caller.is_anonymous();
        match self.options.access {
            _ if is_system => Ok(()),
            Access::System => Err(unknown(self.name.as_str())),
            Access::SignedIn | Access::Admin if caller.is_anonymous() => Err(Error::new(
                ErrorKind::Unauthenticated,
                "unauthenticated",
                "this function runs for signed-in callers; send an access token",
            )),
            Access::Admin if !caller.is_admin() => {
                Err(Error::new(ErrorKind::Forbidden, "admin-required", "this function runs for administrators only"))
            }
            Access::SignedIn | Access::Admin => Ok(()),
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The functions of a program, by name. Cheap to clone.
///
/// Every process of an installation registers the functions that it orders; a worker claims only jobs of
/// functions that its own process has, so processes of different versions can run side by side.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    by_name: Arc<BTreeMap<FunctionName, Function>>,
}

impl Functions {
    /// No functions yet.
    pub fn builder() -> FunctionsBuilder {
        FunctionsBuilder::default()
    }

    /// The function of that name.
    #[must_use]
    pub fn get(&self, name: &FunctionName) -> Option<&Function> {
        self.by_name.get(name)
    }

    /// All functions, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.by_name.values()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The function that `caller` orders.
    ///
    /// # Errors
    /// `NotFound` (`function-not-found`), `Unauthenticated` or `Forbidden`.
    pub fn allowed(&self, caller: &Caller, name: &str) -> Result<&Function> {
        let known = FunctionName::new(name).ok();
        let function = known.and_then(|name| self.by_name.get(&name)).ok_or_else(|| unknown(name))?;
        function.allows(caller)?;
        Ok(function)
    }
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(63).collect();
    Error::not_found("function-not-found", format!("there is no function '{shown}'; the host registers them by name"))
}

/// Collects functions.
///
/// ```
/// use universal_core::jobs::{FunctionOptions, Functions, JobContext};
///
/// #[derive(serde::Deserialize)]
/// struct Sum { a: i64, b: i64 }
///
/// let functions = Functions::builder()
///     .register("sum", |_job: JobContext, input: Sum| async move { Ok(input.a + input.b) })
///     .register_with("purge", FunctionOptions::new().admin_only(), |_job: JobContext, (): ()| async { Ok(()) })
///     .build()?;
/// assert_eq!(functions.iter().count(), 2);
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "functions are registered when `build` is called"]
pub struct FunctionsBuilder {
    by_name: BTreeMap<FunctionName, Function>,
    error: Option<Error>,
}

impl FunctionsBuilder {
    /// Registers `function` under `name` with the usual options.
    pub fn register<I, O, F, R>(self, name: &str, function: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(JobContext, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O>> + Send + 'static,
    {
        self.register_with(name, FunctionOptions::default(), function)
    }

    /// Registers `function` under `name`.
    pub fn register_with<I, O, F, R>(mut self, name: &str, options: FunctionOptions, function: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(JobContext, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O>> + Send + 'static,
    {
        let name = match FunctionName::new(name) {
            Ok(name) => name,
            Err(error) => {
                self.error.get_or_insert(error);
                return self;
            }
        };
        let function = Arc::new(function);
        let handler: Handler = Arc::new(move |context, input| {
            let function = function.clone();
            // The call itself is inside the future, so that a panic in it is caught with the rest.
            Box::pin(async move {
                let input: I = read(input)?;
                write(&function(context, input).await?)
            })
        });
        let check: Check = Arc::new(|input| read::<I>(input.clone()).map(drop));
        self.insert(Function { name, options, handler, check });
        self
    }

    /// Adds every function of `others`.
    pub fn extend(mut self, others: &Functions) -> Self {
        for function in others.iter() {
            self.insert(function.clone());
        }
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// `Invalid` for a name that is none, a name used twice, or options out of range.
    pub fn build(self) -> Result<Functions> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(Functions { by_name: Arc::new(self.by_name) }),
        }
    }

    fn insert(&mut self, function: Function) {
        let options = function.options;
        if !(1..=MOST_ATTEMPTS).contains(&options.max_attempts) || options.timeout.is_zero() {
            self.error.get_or_insert_with(|| {
                Error::invalid(
                    "invalid-function-options",
                    format!("the function '{}' needs 1 to 100 attempts and a timeout above zero", function.name),
                )
            });
        } else if self.by_name.contains_key(&function.name) {
            self.error.get_or_insert_with(|| {
                Error::invalid("function-registered-twice", format!("two functions are called '{}'", function.name))
            });
        } else {
            self.by_name.insert(function.name.clone(), function);
        }
    }
}

fn read<I: DeserializeOwned>(input: Value) -> Result<I> {
    serde_json::from_value(input).map_err(|error| {
        Error::invalid("invalid-input", format!("the function does not take this input: {error}")).with_field("input")
    })
}

/// A function's output as the JSON value that the job keeps.
pub(super) fn write<O: Serialize>(output: &O) -> Result<Value> {
    let value = serde_json::to_value(output).map_err(Error::internal)?;
    let size = serde_json::to_string(&value).map_err(Error::internal)?.len();
    if size > MAX_RESULT_BYTES {
        return Err(Error::new(
            ErrorKind::TooLarge,
            "result-too-large",
            "the function's result is larger than 256 KiB of JSON; it should write a file and return its key",
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::{FunctionOptions, Functions};
    use crate::{
        caller::{Caller, ROLE_ADMIN},
        id::{TenantId, UserId},
        jobs::context::JobContext,
    };
    use serde_json::json;

    fn functions() -> Functions {
        Functions::builder()
            .register("open", |_: JobContext, n: i64| async move { Ok(n) })
            .register_with("admins", FunctionOptions::new().admin_only(), |_: JobContext, (): ()| async { Ok(()) })
            .register_with("inside", FunctionOptions::new().system_only(), |_: JobContext, (): ()| async { Ok(()) })
            .build()
            .unwrap()
    }

    #[test]
    fn access_is_checked_by_name_and_caller() {
        let tenant = TenantId::default_tenant;
        let user = Caller::user(tenant(), UserId::new("u1").unwrap());
        let callers =
            [Caller::anonymous(tenant()), user.clone(), user.with_roles([ROLE_ADMIN]), Caller::system(tenant())];
        let codes = |name: &str| {
            callers.each_ref().map(|caller| functions().allowed(caller, name).err().map_or("", |error| error.code()))
        };
        assert_eq!(codes("open"), ["unauthenticated", "", "", ""]);
        assert_eq!(codes("admins"), ["unauthenticated", "admin-required", "", ""]);
        assert_eq!(codes("inside"), ["function-not-found", "function-not-found", "function-not-found", ""]);
        assert_eq!(codes("No\0ne"), ["function-not-found"; 4]);
    }

    #[test]
    fn input_is_checked_before_it_is_queued() {
        let functions = functions();
        let open = functions.allowed(&Caller::system(TenantId::default_tenant()), "open").unwrap();
        assert!(open.check_input(&json!(3)).is_ok());
        let error = open.check_input(&json!("three")).unwrap_err();
        assert_eq!((error.code(), error.field()), ("invalid-input", Some("input")));
    }

    #[test]
    fn bad_registrations_are_refused() {
        let twice = Functions::builder()
            .register("a", |_: JobContext, (): ()| async { Ok(()) })
            .register("a", |_: JobContext, (): ()| async { Ok(()) });
        assert_eq!(twice.build().unwrap_err().code(), "function-registered-twice");
        let named = Functions::builder().register("A", |_: JobContext, (): ()| async { Ok(()) });
        assert_eq!(named.build().unwrap_err().code(), "invalid-function-name");
        let never = FunctionOptions::new().with_max_attempts(0);
        let never = Functions::builder().register_with("a", never, |_: JobContext, (): ()| async { Ok(()) });
        assert_eq!(never.build().unwrap_err().code(), "invalid-function-options");
    }
}
