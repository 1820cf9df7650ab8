//! Why a rule allows or refuses.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use universal_core::{
    caller::Caller,
    collections::{Action, Collections, ExplainRule},
    error::Result,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
};

use crate::{
    context::Context,
    response::{self, Response},
};

/// Who would do what.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    collection: String,
    action: String,
    /// Anonymous if it is null or absent.
    #[serde(default)]
    caller: Option<Described>,
    #[serde(default)]
    document: Option<String>,
    /// The members of a creation, the patch of an update.
    #[serde(default)]
    input: Option<Value>,
    /// The members that would take the place of the document's.
    #[serde(default)]
    replacement: Option<Value>,
}

/// A caller as rules see it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Described {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    claims: Option<Map<String, Value>>,
}

impl Described {
    fn caller(self, tenant: TenantId) -> Result<Caller> {
        let caller = match self.id {
            Some(id) => Caller::user(tenant, UserId::new(id).map_err(|error| error.with_field("/caller/id"))?),
            None => Caller::anonymous(tenant),
        };
        let caller = caller.with_roles(self.roles);
        Ok(match self.claims {
            Some(claims) => caller.with_claims(claims),
            None => caller,
        })
    }
}

/// `POST /admin/rules/explain`
pub(crate) async fn explain(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let ask: Ask = cx.json().await?;
    let tenant = cx.caller().tenant().clone();
    let caller = match ask.caller {
        Some(described) => described.caller(tenant)?,
        None => Caller::anonymous(tenant),
    };
    let collection = CollectionName::new(ask.collection).map_err(|error| error.with_field("/collection"))?;
    let action = Action::parse(&ask.action)?;
    let mut explain = ExplainRule::new(collection, action, caller);
    if let Some(id) = ask.document {
        explain = explain.with_document(DocumentId::new(id).map_err(|error| error.with_field("/document"))?);
    }
    if let Some(input) = ask.input {
        explain = explain.with_input(match action {
            Action::Update => Object::patch_from_value(input)?,
            _ => Object::from_value(input)?,
        });
    }
    if let Some(members) = ask.replacement {
        explain = explain.with_replacement(Object::from_value(members)?);
    }
    response::json(StatusCode::OK, &service.explain_rule(cx.caller(), explain).await?)
}
