//! What every implementation of [`Collections`] promises about explanations of rules.

use std::sync::Arc;

use serde_json::json;

use crate::{
    caller::{Caller, ROLE_ADMIN},
    collections::{Action, CollectionSettings, Collections, ExplainRule, NewDocument, RuleExplanation, Rules},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    expr::Truth,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
};

/// What a case runs on: an implementation whose tenant `default` may hold anything already.
pub type Fixture = Arc<dyn Collections>;

/// Every promise.
pub const CASES: &[Case<Fixture>] = &[
    case!(explanations_are_for_administrators),
    case!(an_explanation_says_what_decided_and_agrees_with_the_decision),
    case!(the_owner_rule_is_explained),
    case!(an_update_is_explained_with_the_document_as_it_would_be),
    case!(administrators_are_not_bound_by_what_is_explained),
];

fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

fn admin() -> Caller {
    user().with_roles([ROLE_ADMIN])
}

async fn configured(on: &Fixture, rules: Rules) -> Result<CollectionName, String> {
    let name = CollectionName::new(format!("e{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)?;
    let settings = CollectionSettings::new().with_rules(rules);
    on.configure(&admin(), &name, settings, None).await.map_err(failed)?;
    Ok(name)
}

fn object(value: serde_json::Value) -> Result<Object, String> {
    Object::from_value(value).map_err(failed)
}

async fn explained(on: &Fixture, ask: ExplainRule) -> Result<RuleExplanation, String> {
    on.explain_rule(&admin(), ask).await.map_err(failed)
}

async fn explanations_are_for_administrators(on: Fixture) -> Result<(), String> {
    let name = configured(&on, Rules::default()).await?;
    let ask = || ExplainRule::new(name.clone(), Action::Create, user());
    refused(on.explain_rule(&user(), ask()).await, ErrorKind::Forbidden, "admin-required")?;
    let anonymous = Caller::anonymous(TenantId::default_tenant());
    refused(on.explain_rule(&anonymous, ask()).await, ErrorKind::Unauthenticated, "sign-in-required")?;
    let elsewhere = Caller::anonymous(TenantId::new("elsewhere").map_err(failed)?);
    let foreign = ExplainRule::new(name.clone(), Action::Create, elsewhere);
    refused(on.explain_rule(&admin(), foreign).await, ErrorKind::Invalid, "tenant-mismatch")?;
    let get = ExplainRule::new(name.clone(), Action::Get, user());
    refused(on.explain_rule(&admin(), get.clone()).await, ErrorKind::Invalid, "missing-document")?;
    let gone = get.with_document(DocumentId::generate());
    refused(on.explain_rule(&admin(), gone).await, ErrorKind::NotFound, "document-not-found")
}

async fn an_explanation_says_what_decided_and_agrees_with_the_decision(on: Fixture) -> Result<(), String> {
    let rule = "doc.open == true || (has(caller.id) && meta.owner == caller.id)";
    let name = configured(&on, Rules::default().with_get(rule).with_list(rule)).await?;
    let (ada, bob) = (user(), user());
    let made = on.create(&ada, &name, NewDocument::new(object(json!({"open": false}))?)).await.map_err(failed)?;
    for (caller, decided_by) in [
        (ada, "has(caller.id) && meta.owner == caller.id"),
        (bob, rule),
        (Caller::anonymous(TenantId::default_tenant()), rule),
    ] {
        let ask = ExplainRule::new(name.clone(), Action::Get, caller.clone()).with_document(made.id.clone());
        let found = explained(&on, ask).await?;
        check_eq(&found.allowed, &on.get(&caller, &name, &made.id).await.is_ok())?;
        check_eq(&found.readable, &Some(found.allowed))?;
        check_eq(&found.rule.as_str(), &rule)?;
        check_eq(&found.decided_by.text.as_str(), &decided_by)?;
        check_eq(&found.clauses.len(), &3)?;
    }
    Ok(())
}

async fn the_owner_rule_is_explained(on: Fixture) -> Result<(), String> {
    let name = configured(&on, Rules::default()).await?;
    let ada = user();
    let made = on.create(&ada, &name, NewDocument::new(object(json!({}))?)).await.map_err(failed)?;
    for (caller, allowed) in [(ada, true), (user(), false), (Caller::anonymous(TenantId::default_tenant()), false)] {
        for action in [Action::List, Action::Get, Action::Update, Action::Delete] {
            let ask = ExplainRule::new(name.clone(), action, caller.clone()).with_document(made.id.clone());
            let found = explained(&on, ask).await?;
            check(found.is_owner_rule, "it is not the owner rule")?;
            check_eq(&(found.allowed, found.rule.as_str()), &(allowed, "meta.owner == caller.id"))?;
        }
        let creation = explained(&on, ExplainRule::new(name.clone(), Action::Create, caller.clone())).await?;
        check_eq(&creation.allowed, &!caller.is_anonymous())?;
    }
    Ok(())
}

async fn an_update_is_explained_with_the_document_as_it_would_be(on: Fixture) -> Result<(), String> {
    let rule = "after.n > doc.n && !has(input.locked)";
    let name = configured(&on, Rules::default().with_get("true").with_update(rule)).await?;
    let made = on.create(&user(), &name, NewDocument::new(object(json!({"n": 1}))?)).await.map_err(failed)?;
    let ask = || ExplainRule::new(name.clone(), Action::Update, user()).with_document(made.id.clone());
    let patch = Object::patch_from_value(json!({"n": {"$inc": 2}})).map_err(failed)?;
    let found = explained(&on, ask().with_input(patch)).await?;
    check(found.allowed, "the patch raises n")?;
    let seen = found.clauses.first().map(|clause| clause.values.clone()).unwrap_or_default();
    let seen: Vec<_> = seen.into_iter().map(|seen| (seen.text, seen.value)).collect();
    check_eq(&seen, &vec![("after.n".to_owned(), Some(json!(3))), ("doc.n".to_owned(), Some(json!(1)))])?;
    let found = explained(&on, ask().with_replacement(object(json!({"n": 5, "locked": true}))?)).await?;
    check_eq(&(found.allowed, found.decided_by.text.as_str()), &(false, "!has(input.locked)"))?;
    let found = explained(&on, ask().with_replacement(object(json!({}))?)).await?;
    check_eq(&found.clauses.first().map(|clause| clause.truth), &Some(Truth::Error))?;
    // Nothing was done.
    check_eq(&on.get(&user(), &name, &made.id).await.map_err(failed)?.value.revision, &made.revision)
}

async fn administrators_are_not_bound_by_what_is_explained(on: Fixture) -> Result<(), String> {
    let name = configured(&on, Rules::default().with_create("false")).await?;
    let found = explained(&on, ExplainRule::new(name.clone(), Action::Create, admin())).await?;
    check_eq(&(found.allowed, found.bypassed), &(true, true))?;
    let found = explained(&on, ExplainRule::new(name, Action::Create, user())).await?;
    check_eq(&(found.allowed, found.bypassed, found.decided_by.text.as_str()), &(false, false, "false"))
}
