//! The places of messages that are changed, looked up.

use std::{path::Path, sync::Arc};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use wsi_policy::{
    Change, Literal as PolicyLiteral, MessageTypes, Policy, Rewrite, RewriteFormat, SchemaType,
    UnknownFields, Validation,
};
use wsi_schema::{
    Literal, Pointer,
    protobuf::{self, MessageType},
};

use super::{
    EngineError,
    format::{Format, Reading},
    schemas::Schemas,
};
use crate::rules::RuleId;

/// A change, where it holds.
#[derive(Debug)]
pub(crate) struct RewritePlan {
    pub rule: RuleId,
    pub messages: MessageTypes,
    /// As it was written.
    pub at: String,
    pub target: Target,
    pub change: Becomes,
}

#[derive(Debug)]
pub(crate) enum Target {
    Json(Pointer),
    MessagePack(Pointer),
    Protobuf {
        kind: Arc<MessageType>,
        path: protobuf::Path,
    },
    /// Fields that the type does not declare.
    Undeclared(Arc<Reading>),
}

/// What becomes of a value.
#[derive(Debug)]
pub(crate) enum Becomes {
    Nothing,
    Value(Literal),
    Masked {
        keep_last: usize,
    },
    /// With its key.
    Hashed(Hmac<Sha256>),
}

impl RewritePlan {
    /// What a validation with `unknown-fields "strip"` makes of messages.
    pub fn stripping(validation: &Validation, rule: RuleId, schemas: &Schemas) -> Option<Arc<Self>> {
        let (SchemaType::Protobuf(kind), Format::Protobuf(reading)) =
            (&validation.schema_type, &schemas.format)
        else {
            return None;
        };
        (kind.unknown_fields == UnknownFields::Strip).then(|| {
            Arc::new(Self {
                rule,
                messages: validation.messages,
                at: "unknown-fields".to_owned(),
                target: Target::Undeclared(Arc::clone(reading)),
                change: Becomes::Nothing,
            })
        })
    }
}

/// The types that were loaded for earlier rules, with where they came from.
type Types<'p> = Vec<(&'p Path, &'p str, Arc<MessageType>)>;

/// Looks up the rewrites of `policy`, whose rules are `rules`.
///
/// # Errors
/// The first that names no place, or one at which its change can't be made.
pub(super) fn compile(policy: &Policy, rules: &[RuleId]) -> Result<Vec<Arc<RewritePlan>>, EngineError> {
    let mut types = Types::new();
    let plans = policy.rewrites.iter().zip(rules).map(|(rewrite, rule)| {
        let fault =
            |reason| EngineError::Rewrite { policy: policy.name.clone(), rule: rewrite.name.clone(), reason };
        compile_one(rewrite, *rule, &mut types).map(Arc::new).map_err(fault)
    });
    plans.collect()
}

fn compile_one<'p>(rewrite: &'p Rewrite, rule: RuleId, types: &mut Types<'p>) -> Result<RewritePlan, String> {
    let pointer = Pointer::parse(&rewrite.at).map_err(|error| error.to_string())?;
    let change = becomes(&rewrite.change)?;
    let target = match &rewrite.format {
        _ if pointer.tokens().len() == 0 && matches!(change, Becomes::Nothing) => {
            return Err(
                "the place is the whole message, of which nothing would be left; name a part of it".into()
            );
        }
        RewriteFormat::Json => Target::Json(pointer),
        RewriteFormat::MessagePack => Target::MessagePack(pointer),
        RewriteFormat::Protobuf { schema_path, message } => {
            let known = types.iter().find(|(path, name, _)| *path == &**schema_path && name == message);
            let kind = match known {
                Some((_, _, kind)) => Arc::clone(kind),
                None => {
                    let kind = MessageType::load(schema_path, message).map_err(|error| error.to_string())?;
                    let kind = Arc::new(kind);
                    types.push((schema_path, message, Arc::clone(&kind)));
                    kind
                }
            };
            let change = match &change {
                Becomes::Nothing => protobuf::Change::Remove,
                Becomes::Value(literal) => protobuf::Change::Set(literal),
                Becomes::Masked { .. } | Becomes::Hashed(_) => protobuf::Change::Text,
            };
            let path = kind.path(&pointer, change).map_err(|error| error.to_string())?;
            Target::Protobuf { kind, path }
        }
    };
    Ok(RewritePlan { rule, messages: rewrite.messages, at: rewrite.at.clone(), target, change })
}

fn becomes(change: &Change) -> Result<Becomes, String> {
    Ok(match change {
        Change::Remove => Becomes::Nothing,
        Change::Mask { keep_last } => Becomes::Masked { keep_last: *keep_last },
        Change::Hash(key) => {
            Becomes::Hashed(Hmac::new_from_slice(key.secret()).map_err(|error| error.to_string())?)
        }
        Change::Set(literal) => Becomes::Value(match literal {
            PolicyLiteral::Null => Literal::Null,
            PolicyLiteral::Boolean(boolean) => Literal::Boolean(*boolean),
            PolicyLiteral::Integer(integer) => Literal::Integer(*integer),
            PolicyLiteral::Float(float) => Literal::Float(*float),
            PolicyLiteral::Text(text) => Literal::Text(text.as_str().into()),
        }),
    })
}
