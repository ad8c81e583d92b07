use std::{fmt, path::Path};

use jsonschema::Validator;

use super::{
    Tree,
    node::{Beside, TreeJson, TreeNode},
};
use crate::json::{SchemaError, Violation, schema};

/// A compiled JSON Schema for binary messages, in all else like that of [`json`](crate::json::Schema).
pub struct Schema {
    validator: Validator<TreeJson>,
}

impl Schema {
    /// Reads and compiles the schema in the file `path`, as [`json::Schema::load`](crate::json::Schema::load).
    ///
    /// # Errors
    /// [`SchemaError`] if a file cannot be read, is not JSON, or is not a valid schema.
    pub fn load(path: &Path) -> Result<Self, SchemaError> {
        schema::load(path).map(|validator| Self { validator })
    }

    /// Compiles a schema from its text. `$ref` may reach files of `folder`, if there is one.
    ///
    /// # Errors
    /// [`SchemaError`] if the text is not JSON or not a valid schema, or a file it refers to is not.
    pub fn from_text(text: &str, folder: Option<&Path>) -> Result<Self, SchemaError> {
        schema::from_text(text, folder).map(|validator| Self { validator })
    }

    /// Whether the message satisfies the schema. Cheaper than [`Self::check`].
    pub fn is_valid(&self, tree: &Tree<'_>) -> bool {
        is_valid(&self.validator, tree)
    }

    /// Checks the message, and says where it first breaks the schema.
    ///
    /// # Errors
    /// [`Violation`], exactly if [`Self::is_valid`] is false.
    pub fn check(&self, tree: &Tree<'_>) -> Result<(), Violation> {
        check(&self.validator, tree)
    }
}

pub(crate) fn is_valid(validator: &Validator<TreeJson>, tree: &Tree<'_>) -> bool {
    let beside = Beside::of(tree);
    validator.is_valid(TreeNode::root(tree, &beside))
}

pub(crate) fn check(validator: &Validator<TreeJson>, tree: &Tree<'_>) -> Result<(), Violation> {
    let beside = Beside::of(tree);
    schema::check(validator, TreeNode::root(tree, &beside))
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}
