//! What every implementation of [`Collections`] promises about the settings of a collection: rules, members that are
//! hidden, kept or set, and schemas.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    caller::{Caller, ROLE_ADMIN},
    collections::{CollectionSettings, Collections, ListQuery, NewDocument, Precondition, Rules, ServerValue},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
};

/// What a case runs on: an implementation whose tenant `default` may hold anything already. Every case
/// uses collections of its own.
pub type Fixture = Arc<dyn Collections>;

/// Every promise.
pub const CASES: &[Case<Fixture>] = &[
    case!(settings_are_for_administrators),
    case!(settings_have_a_version_that_a_change_can_be_held_to),
    case!(settings_that_are_not_valid_say_where),
    case!(a_collection_can_be_opened_to_everybody_and_closed_again),
    case!(a_list_rule_is_a_filter_and_a_get_rule_decides_about_one),
    case!(a_create_rule_sees_the_document_as_it_will_be),
    case!(an_update_rule_sees_before_input_and_after),
    case!(a_refusal_comes_in_one_order),
    case!(a_rule_may_ask_for_roles),
    case!(no_rule_binds_administrators_and_the_program),
    case!(hidden_members_are_seen_sent_and_asked_for_by_administrators_alone),
    case!(hidden_members_survive_what_others_write),
    case!(an_immutable_member_keeps_its_value),
    case!(server_set_members_are_set_whatever_is_sent),
    case!(a_document_must_fit_the_schema),
    case!(a_schema_tells_nothing_of_what_is_hidden),
];

fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

fn admin() -> Caller {
    user().with_roles([ROLE_ADMIN])
}

fn anonymous() -> Caller {
    Caller::anonymous(TenantId::default_tenant())
}

fn object(value: Value) -> Result<Object, String> {
    Object::from_value(value).map_err(failed)
}

fn new(value: Value) -> Result<NewDocument, String> {
    Ok(NewDocument::new(object(value)?))
}

async fn configured(on: &Fixture, settings: CollectionSettings) -> Result<CollectionName, String> {
    let name = CollectionName::new(format!("r{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)?;
    on.configure(&admin(), &name, settings, None).await.map_err(failed)?;
    Ok(name)
}

fn rules(rules: Rules) -> CollectionSettings {
    CollectionSettings::new().with_rules(rules)
}

fn body(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(failed)
}

async fn listed(on: &Fixture, caller: &Caller, name: &CollectionName) -> Result<Vec<Value>, String> {
    let page = on.list(caller, name, &ListQuery::new()).await.map_err(failed)?.value;
    page.items.iter().map(|document| body(&document.body)).collect()
}

async fn settings_are_for_administrators(on: Fixture) -> Result<(), String> {
    let name = configured(&on, CollectionSettings::new()).await?;
    let change = |caller: Caller| {
        let (on, name) = (Arc::clone(&on), name.clone());
        async move { on.configure(&caller, &name, CollectionSettings::new(), None).await }
    };
    refused(change(user()).await, ErrorKind::Forbidden, "admin-required")?;
    refused(change(anonymous()).await, ErrorKind::Unauthenticated, "sign-in-required")?;
    refused(on.settings(&user(), &name).await, ErrorKind::Forbidden, "admin-required")?;
    refused(on.collections(&user()).await, ErrorKind::Forbidden, "admin-required")?;
    change(Caller::system(TenantId::default_tenant())).await.map_err(failed)?;
    let all = on.collections(&admin()).await.map_err(failed)?;
    check(all.iter().any(|info| info.name == name && info.version == 2), "the collection is not among all")
}

async fn settings_have_a_version_that_a_change_can_be_held_to(on: Fixture) -> Result<(), String> {
    let name = CollectionName::new(format!("r{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)?;
    check_eq(&on.settings(&admin(), &name).await.map_err(failed)?.version, &0)?;
    let settings = || rules(Rules::default().with_list("true"));
    check_eq(&on.configure(&admin(), &name, settings(), Some(0)).await.map_err(failed)?.version, &1)?;
    let late = on.configure(&admin(), &name, CollectionSettings::new(), Some(0)).await;
    refused(late, ErrorKind::PreconditionFailed, "stale-settings")?;
    let found = on.settings(&admin(), &name).await.map_err(failed)?;
    check_eq(&(found.version, found.settings), &(1, settings()))?;
    check_eq(&on.configure(&admin(), &name, CollectionSettings::new(), Some(1)).await.map_err(failed)?.version, &2)
}

async fn settings_that_are_not_valid_say_where(on: Fixture) -> Result<(), String> {
    let name = configured(&on, CollectionSettings::new()).await?;
    for (settings, code, field) in [
        (rules(Rules::default().with_list("doc.a ==")), "invalid-rule", "/rules/list"),
        (rules(Rules::default().with_create("doc.a == 1")), "invalid-rule", "/rules/create"),
        (rules(Rules::default().with_get("meta.revision == 'x'")), "invalid-rule", "/rules/get"),
        (rules(Rules::default().with_update("a == 1")), "invalid-rule", "/rules/update"),
        (CollectionSettings::new().with_hidden("a..b"), "invalid-field", "/hidden/0"),
        (CollectionSettings::new().with_immutable("meta.owner"), "invalid-field", "/immutable/0"),
        (CollectionSettings::new().with_schema(json!({"type": "banana"})), "invalid-schema", "/schema"),
    ] {
        let outcome = on.configure(&admin(), &name, settings, None).await;
        let found = outcome.as_ref().err().and_then(|error| error.field().map(str::to_owned));
        refused(outcome, ErrorKind::Invalid, code)?;
        check_eq(&found.as_deref(), &Some(field))?;
    }
    check_eq(&on.settings(&admin(), &name).await.map_err(failed)?.version, &1)
}

async fn a_collection_can_be_opened_to_everybody_and_closed_again(on: Fixture) -> Result<(), String> {
    let open = Rules::default().with_list("true").with_get("true").with_create("true");
    let name = configured(&on, rules(open)).await?;
    let made = on.create(&anonymous(), &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    check_eq(&made.owner, &None)?;
    on.get(&anonymous(), &name, &made.id).await.map_err(failed)?;
    check_eq(&listed(&on, &anonymous(), &name).await?, &vec![json!({"n": 1})])?;
    // What nobody opened has the owner rule still.
    let patched = on.patch(&user(), &name, &made.id, object(json!({"n": 2}))?, Precondition::None).await;
    refused(patched, ErrorKind::Forbidden, "forbidden")?;
    let closed = Rules::default().with_list("false").with_get("false").with_create("false");
    on.configure(&admin(), &name, rules(closed), None).await.map_err(failed)?;
    refused(on.list(&user(), &name, &ListQuery::new()).await, ErrorKind::Forbidden, "forbidden")?;
    refused(on.list(&anonymous(), &name, &ListQuery::new()).await, ErrorKind::Unauthenticated, "sign-in-required")?;
    refused(on.get(&user(), &name, &made.id).await, ErrorKind::NotFound, "document-not-found")?;
    refused(on.create(&user(), &name, new(json!({}))?).await, ErrorKind::Forbidden, "forbidden")?;
    on.get(&admin(), &name, &made.id).await.map(|_| ()).map_err(failed)
}

async fn a_list_rule_is_a_filter_and_a_get_rule_decides_about_one(on: Fixture) -> Result<(), String> {
    let mine = "has(caller.id) && meta.owner == caller.id";
    let either = format!("doc.public == true || ({mine})");
    let name = configured(&on, rules(Rules::default().with_list(&either).with_get(&either))).await?;
    let (ada, bob) = (user(), user());
    let open = on.create(&ada, &name, new(json!({"n": 1, "public": true}))?).await.map_err(failed)?;
    let shut = on.create(&ada, &name, new(json!({"n": 2, "public": false}))?).await.map_err(failed)?;
    let odd = on.create(&ada, &name, new(json!({"n": 3, "public": "true"}))?).await.map_err(failed)?;
    check_eq(&listed(&on, &ada, &name).await?.len(), &3)?;
    check_eq(&listed(&on, &bob, &name).await?, &vec![json!({"n": 1, "public": true})])?;
    check_eq(&listed(&on, &anonymous(), &name).await?.len(), &1)?;
    on.get(&bob, &name, &open.id).await.map_err(failed)?;
    for hidden in [&shut.id, &odd.id] {
        refused(on.get(&bob, &name, hidden).await, ErrorKind::NotFound, "document-not-found")?;
    }
    // A filter narrows what the rule shows and never widens it.
    let query = ListQuery::new().with_filter("n == 2 || public == true").map_err(failed)?;
    check_eq(&on.list(&bob, &name, &query).await.map_err(failed)?.value.items.len(), &1)
}

async fn a_create_rule_sees_the_document_as_it_will_be(on: Fixture) -> Result<(), String> {
    let rule = "has(caller.id) && after.author == caller.id && !has(input.approved)";
    let name = configured(&on, rules(Rules::default().with_create(rule))).await?;
    let ada = user();
    let id = ada.user_id().map(ToString::to_string);
    on.create(&ada, &name, new(json!({"author": id}))?).await.map_err(failed)?;
    for refusal in [json!({"author": "somebody"}), json!({}), json!({"author": id, "approved": true})] {
        refused(on.create(&ada, &name, new(refusal)?).await, ErrorKind::Forbidden, "forbidden")?;
    }
    refused(on.create(&anonymous(), &name, new(json!({}))?).await, ErrorKind::Unauthenticated, "sign-in-required")?;
    // A replacement that creates is a creation.
    let id = DocumentId::generate();
    let put = on.replace(&ada, &name, &id, object(json!({"author": "x"}))?, Precondition::None).await;
    refused(put, ErrorKind::Forbidden, "forbidden")
}

async fn an_update_rule_sees_before_input_and_after(on: Fixture) -> Result<(), String> {
    let rule = "meta.owner == caller.id && (doc.state == \"draft\" || after.state == doc.state) && !has(input.locked)";
    let name = configured(&on, rules(Rules::default().with_update(rule))).await?;
    let ada = user();
    let made = on.create(&ada, &name, new(json!({"state": "draft", "n": 1}))?).await.map_err(failed)?;
    let patch = |value: Value| {
        let (on, name, id, ada) = (Arc::clone(&on), name.clone(), made.id.clone(), ada.clone());
        async move {
            on.patch(&ada, &name, &id, object(value).map_err(crate::error::Error::internal)?, Precondition::None).await
        }
    };
    refused(patch(json!({"locked": true})).await, ErrorKind::Forbidden, "forbidden")?;
    patch(json!({"state": "final"})).await.map_err(failed)?;
    patch(json!({"n": 2})).await.map_err(failed)?;
    refused(patch(json!({"state": "draft"})).await, ErrorKind::Forbidden, "forbidden")?;
    let replaced = on.replace(&ada, &name, &made.id, object(json!({"state": "draft"}))?, Precondition::None).await;
    refused(replaced, ErrorKind::Forbidden, "forbidden")?;
    let read = on.get(&ada, &name, &made.id).await.map_err(failed)?.value;
    check_eq(&body(&read.body)?, &json!({"state": "final", "n": 2}))
}

async fn a_refusal_comes_in_one_order(on: Fixture) -> Result<(), String> {
    let all = Rules::default().with_get("doc.open == true").with_update("doc.open == true && meta.owner == caller.id");
    let settings = rules(all.with_delete("false")).with_schema(json!({"required": ["open"]}));
    let name = configured(&on, settings).await?;
    let (ada, bob) = (user(), user());
    let open = on.create(&ada, &name, new(json!({"open": true}))?).await.map_err(failed)?;
    let shut = on.create(&ada, &name, new(json!({"open": false}))?).await.map_err(failed)?;
    let stale = || Precondition::Revision(vec!["other".to_owned()]);
    let misfit = || Object::patch_from_value(json!({"open": {"$inc": 1}})).map_err(failed);
    // Not readable: 404, whatever else is wrong.
    refused(on.patch(&ada, &name, &shut.id, misfit()?, stale()).await, ErrorKind::NotFound, "document-not-found")?;
    refused(on.delete(&ada, &name, &shut.id, stale()).await, ErrorKind::NotFound, "document-not-found")?;
    // Readable and not writable: 403 before the precondition.
    refused(on.patch(&bob, &name, &open.id, misfit()?, stale()).await, ErrorKind::Forbidden, "forbidden")?;
    refused(on.delete(&ada, &name, &open.id, stale()).await, ErrorKind::Forbidden, "forbidden")?;
    // Writable: 412 before what is wrong with the input.
    refused(
        on.patch(&ada, &name, &open.id, misfit()?, stale()).await,
        ErrorKind::PreconditionFailed,
        "stale-revision",
    )?;
    let replaced = on.replace(&ada, &name, &open.id, object(json!({}))?, stale()).await;
    refused(replaced, ErrorKind::PreconditionFailed, "stale-revision")?;
    refused(
        on.patch(&ada, &name, &open.id, misfit()?, Precondition::None).await,
        ErrorKind::Invalid,
        "operation-does-not-fit",
    )?;
    let replaced = on.replace(&ada, &name, &open.id, object(json!({}))?, Precondition::None).await;
    refused(replaced, ErrorKind::Unprocessable, "schema-violation")
}

async fn a_rule_may_ask_for_roles(on: Fixture) -> Result<(), String> {
    let rule = "\"editor\" in caller.roles";
    let name = configured(&on, rules(Rules::default().with_list(rule).with_get(rule).with_create(rule))).await?;
    let editor = user().with_roles(["editor"]);
    let made = on.create(&editor, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    on.get(&user().with_roles(["reader", "editor"]), &name, &made.id).await.map_err(failed)?;
    check_eq(&listed(&on, &editor, &name).await?.len(), &1)?;
    refused(on.get(&user(), &name, &made.id).await, ErrorKind::NotFound, "document-not-found")?;
    refused(on.list(&user(), &name, &ListQuery::new()).await, ErrorKind::Forbidden, "forbidden")
}

async fn no_rule_binds_administrators_and_the_program(on: Fixture) -> Result<(), String> {
    let nobody = Rules::default().with_list("false").with_get("false").with_create("false");
    let name = configured(&on, rules(nobody.with_update("false").with_delete("false"))).await?;
    for caller in [admin(), Caller::system(TenantId::default_tenant())] {
        let made = on.create(&caller, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
        on.get(&caller, &name, &made.id).await.map_err(failed)?;
        check_eq(&listed(&on, &caller, &name).await?.len(), &1)?;
        on.patch(&caller, &name, &made.id, object(json!({"n": 2}))?, Precondition::None).await.map_err(failed)?;
        on.delete(&caller, &name, &made.id, Precondition::None).await.map_err(failed)?;
    }
    Ok(())
}

async fn hidden_members_are_seen_sent_and_asked_for_by_administrators_alone(on: Fixture) -> Result<(), String> {
    let open = Rules::default().with_list("true").with_get("true");
    let settings = rules(open).with_hidden("secret").with_hidden("inner.note");
    let name = configured(&on, settings).await?;
    let full = json!({"n": 1, "secret": "s", "inner": {"note": "x", "seen": 2}});
    let made = on.create(&admin(), &name, new(full.clone())?).await.map_err(failed)?;
    let shown = json!({"n": 1, "inner": {"seen": 2}});
    check_eq(&body(&on.get(&user(), &name, &made.id).await.map_err(failed)?.value.body)?, &shown)?;
    check_eq(&body(&on.get(&admin(), &name, &made.id).await.map_err(failed)?.value.body)?, &full)?;
    check_eq(&listed(&on, &user(), &name).await?, &vec![shown])?;
    for filter in ["secret == \"s\"", "has(secret)", "!has(inner.note)", "inner.note > \"a\"", "has(inner)"] {
        let query = ListQuery::new().with_filter(filter).map_err(failed)?;
        refused(on.list(&user(), &name, &query).await, ErrorKind::Invalid, "invalid-field")?;
        on.list(&admin(), &name, &query).await.map_err(failed)?;
    }
    let sorted = ListQuery::new().with_sort("-secret").map_err(failed)?;
    refused(on.list(&user(), &name, &sorted).await, ErrorKind::Invalid, "invalid-field")?;
    for sent in [json!({"secret": 1}), json!({"inner": {"note": null}})] {
        refused(on.create(&user(), &name, new(sent)?).await, ErrorKind::Invalid, "invalid-field")?;
    }
    Ok(())
}

async fn hidden_members_survive_what_others_write(on: Fixture) -> Result<(), String> {
    let settings = CollectionSettings::new().with_hidden("secret").with_hidden("inner.note");
    let name = configured(&on, settings).await?;
    let ada = user();
    let made = on.create(&ada, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    let secret = object(json!({"secret": "s", "inner": {"note": "x"}}))?;
    on.patch(&admin(), &name, &made.id, secret, Precondition::None).await.map_err(failed)?;
    let replaced = on.replace(&ada, &name, &made.id, object(json!({"n": 2}))?, Precondition::None).await;
    check_eq(&body(&replaced.map_err(failed)?.into_document().body)?, &json!({"n": 2, "inner": {}}))?;
    on.patch(&ada, &name, &made.id, object(json!({"inner": null}))?, Precondition::None).await.map_err(failed)?;
    let kept = on.get(&admin(), &name, &made.id).await.map_err(failed)?.value;
    check_eq(&body(&kept.body)?, &json!({"n": 2, "secret": "s", "inner": {"note": "x"}}))?;
    let over = on.patch(&ada, &name, &made.id, object(json!({"inner": 5}))?, Precondition::None).await;
    refused(over, ErrorKind::Invalid, "invalid-field")?;
    // Not by an operation either, which brings members along in its operand.
    let other = on.create(&ada, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    let operation = Object::patch_from_value(json!({"inner": {"$set_if_absent": {"note": "mine"}}})).map_err(failed)?;
    let sent = on.patch(&ada, &name, &other.id, operation, Precondition::None).await;
    refused(sent, ErrorKind::Invalid, "invalid-field")
}

async fn an_immutable_member_keeps_its_value(on: Fixture) -> Result<(), String> {
    let name = configured(&on, CollectionSettings::new().with_immutable("slug")).await?;
    let ada = user();
    let made = on.create(&ada, &name, new(json!({"slug": "a", "n": 1}))?).await.map_err(failed)?;
    let patch = |caller: Caller, value: Value| {
        let (on, name, id) = (Arc::clone(&on), name.clone(), made.id.clone());
        async move {
            let value = object(value).map_err(crate::error::Error::internal)?;
            on.patch(&caller, &name, &id, value, Precondition::None).await
        }
    };
    patch(ada.clone(), json!({"slug": "a", "n": 2})).await.map_err(failed)?;
    for changed in [json!({"slug": "b"}), json!({"slug": null})] {
        refused(patch(ada.clone(), changed).await, ErrorKind::Unprocessable, "immutable-field")?;
    }
    let replaced = on.replace(&ada, &name, &made.id, object(json!({"n": 3}))?, Precondition::None).await;
    refused(replaced, ErrorKind::Unprocessable, "immutable-field")?;
    patch(admin(), json!({"slug": "b"})).await.map(|_| ()).map_err(failed)
}

async fn server_set_members_are_set_whatever_is_sent(on: Fixture) -> Result<(), String> {
    let settings = CollectionSettings::new()
        .with_server_set("author", ServerValue::CallerOnCreate)
        .with_server_set("editor", ServerValue::Caller)
        .with_server_set("at.made", ServerValue::NowOnCreate)
        .with_server_set("at.touched", ServerValue::Now);
    let everybody = Rules::default().with_get("true").with_update("true");
    let name = configured(&on, settings.with_rules(everybody)).await?;
    let (ada, bob) = (user(), user());
    let sent = json!({"author": "me", "editor": 1, "at": {"made": "never"}, "n": 1});
    let made = on.create(&ada, &name, new(sent)?).await.map_err(failed)?;
    let first = body(&made.body)?;
    let id = |caller: &Caller| json!(caller.user_id().map(ToString::to_string));
    check_eq(&first.pointer("/author"), &Some(&id(&ada)))?;
    check_eq(&first.pointer("/editor"), &Some(&id(&ada)))?;
    check_eq(&first.pointer("/at/made"), &Some(&json!(made.created_at.to_string())))?;
    let replaced = on.replace(&bob, &name, &made.id, object(json!({"author": "x", "n": 2}))?, Precondition::None).await;
    let second = body(&replaced.map_err(failed)?.into_document().body)?;
    check_eq(&second.pointer("/author"), &Some(&id(&ada)))?;
    check_eq(&second.pointer("/editor"), &Some(&id(&bob)))?;
    check_eq(&second.pointer("/at/made"), &first.pointer("/at/made"))?;
    check(second.pointer("/at/touched").is_some_and(Value::is_string), "the moment of the write is not set")
}

async fn a_document_must_fit_the_schema(on: Fixture) -> Result<(), String> {
    let schema = json!({"required": ["title"], "properties": {"title": {"type": "string", "maxLength": 5}}});
    let name = configured(&on, CollectionSettings::new().with_schema(schema)).await?;
    let ada = user();
    let made = on.create(&ada, &name, new(json!({"title": "tea"}))?).await.map_err(failed)?;
    let (kind, code) = (ErrorKind::Unprocessable, "schema-violation");
    refused(on.create(&ada, &name, new(json!({}))?).await, kind, code)?;
    refused(on.create(&admin(), &name, new(json!({"title": 1}))?).await, kind, code)?;
    for patch in [json!({"title": null}), json!({"title": "too long"})] {
        refused(on.patch(&ada, &name, &made.id, object(patch)?, Precondition::None).await, kind, code)?;
    }
    let replaced = on.replace(&ada, &name, &made.id, object(json!({"x": 1}))?, Precondition::None).await;
    refused(replaced, kind, code)?;
    check_eq(&listed(&on, &ada, &name).await?, &vec![json!({"title": "tea"})])
}

async fn a_schema_tells_nothing_of_what_is_hidden(on: Fixture) -> Result<(), String> {
    let schema =
        json!({"anyOf": [{"properties": {"open": {"const": true}}}], "properties": {"secret": {"maxLength": 50}}});
    let name = configured(&on, CollectionSettings::new().with_schema(schema).with_hidden("secret")).await?;
    let ada = user();
    let made = on.create(&ada, &name, new(json!({"open": true}))?).await.map_err(failed)?;
    let secret = object(json!({"secret": "canary"}))?;
    on.patch(&admin(), &name, &made.id, secret, Precondition::None).await.map_err(failed)?;
    let patched = on.patch(&ada, &name, &made.id, object(json!({"open": false}))?, Precondition::None).await;
    match patched {
        Err(error) if error.code() == "schema-violation" => {
            check(!error.message().contains("canary"), "the hidden value is in the message")
        }
        other => Err(format!("found {other:?} instead of a violation")),
    }
}
