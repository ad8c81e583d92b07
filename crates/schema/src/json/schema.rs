use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator, json::Json};
use serde_json::Value;

use super::{
    document::Document,
    retrieve::{self, FolderRetriever},
    violation::Violation,
};
use crate::tree::{self, TreeJson};

/// The largest compiled pattern, in bytes; also the cache that each may use while it matches.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// A compiled JSON Schema. Compile once, share by reference.
///
/// **Draft**: 2020-12 unless `$schema` names draft 4, 6, 7 or 2019-09. Other meta-schemas are refused.
///
/// **Formats**: as the drafts have it, `format` is checked under drafts 4, 6 and 7, and is an annotation
/// without effect under 2019-09 and 2020-12. Unknown formats have no effect. Use `pattern` where it must not
/// be missed.
///
/// **Patterns** run on an engine whose time is linear in the text. It has no look-around and no
/// back-references: a schema that uses them is refused, since a message could make them take unbounded time.
///
/// **References**: `$ref` may point into the schema, to the drafts' meta-schemas, and to files of the
/// schema's own folder and below. Symbolic links out of the folder and all other addresses are refused.
/// At most 64 files of at most 1 MiB each.
///
/// **Numbers** compare by value (`1.0` is an integer, from draft 6 on). Those with a fraction or an
/// exponent are IEEE 754 doubles, as RFC 8259 section 6 expects. Draft 4 takes `-0` for a float.
pub struct Schema {
    validator: Validator<TreeJson>,
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Schema>();
};

impl Schema {
    /// Reads and compiles the schema in the file `path`. `$ref` may reach other files of its folder. This
    /// blocks on the file system: not for a shard.
    ///
    /// # Errors
    /// [`SchemaError`] if a file cannot be read, is not JSON, or is not a valid schema.
    pub fn load(path: &Path) -> Result<Self, SchemaError> {
        load(path).map(|validator| Self { validator })
    }

    /// Compiles a schema from its text. `$ref` may reach files of `folder`, if there is one.
    ///
    /// # Errors
    /// [`SchemaError`] if the text is not JSON or not a valid schema, or a file it refers to is not.
    pub fn from_text(text: &str, folder: Option<&Path>) -> Result<Self, SchemaError> {
        from_text(text, folder).map(|validator| Self { validator })
    }

    /// Whether the message satisfies the schema. Cheaper than [`Self::check`].
    pub fn is_valid(&self, document: &Document<'_>) -> bool {
        tree::is_valid(&self.validator, document.tree())
    }

    /// Checks the message, and says where it first breaks the schema.
    ///
    /// # Errors
    /// [`Violation`], exactly if [`Self::is_valid`] is false.
    pub fn check(&self, document: &Document<'_>) -> Result<(), Violation> {
        tree::check(&self.validator, document.tree())
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

/// [`Schema::load`], for any representation of messages.
pub(crate) fn load<F: Json>(path: &Path) -> Result<Validator<F>, SchemaError> {
    let text = retrieve::read(path).map_err(|reason| SchemaError::whole(reason).of_file(path))?;
    // The folder is resolved and the file is not: a schema may itself be a link, as in a Kubernetes
    // ConfigMap, and its references are meant relative to where the link is.
    let folder = folder_of(path)?;
    let base = path.file_name().map(|name| folder.join(name));
    compile(&text, Some(folder), base.as_deref()).map_err(|error| error.of_file(path))
}

/// The canonical folder of the schema file `path`.
pub(crate) fn folder_of(path: &Path) -> Result<PathBuf, SchemaError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().map_err(|error| SchemaError::whole(error.to_string()).of_file(path))
}

/// [`Schema::from_text`], for any representation of messages.
pub(crate) fn from_text<F: Json>(text: &str, folder: Option<&Path>) -> Result<Validator<F>, SchemaError> {
    let folder = folder
        .map(|folder| {
            folder.canonicalize().map_err(|e| SchemaError::whole(format!("{}: {e}", folder.display())))
        })
        .transpose()?;
    // Relative references resolve against the last part of the base, which need not exist.
    let base = folder.as_ref().map(|folder| folder.join("schema"));
    compile(text, folder, base.as_deref())
}

fn compile<F: Json>(
    text: &str,
    folder: Option<PathBuf>,
    base: Option<&Path>,
) -> Result<Validator<F>, SchemaError> {
    let schema = retrieve::parse(text).map_err(SchemaError::whole)?;
    refuse_invalid(&schema)?;
    let mut options =
        jsonschema::options_for::<F>().with_retriever(FolderRetriever::new(folder)).with_pattern_options(
            PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX),
        );
    if let Some(base) = base {
        options = options.with_base_uri(file_uri(base)?);
    }
    options.build(&schema).map_err(|error| SchemaError::at_keyword(&error))
}

/// [`Schema::check`], for any representation of messages.
pub(crate) fn check<F: Json>(validator: &Validator<F>, root: F::Node<'_>) -> Result<(), Violation> {
    // Should the regular-expression engine itself fail, the validator looks for the offending value in
    // its copy of the message, which there is none of (see `to_value` of the nodes), and panics.
    panic::catch_unwind(AssertUnwindSafe(|| validator.validate(root).map_err(|error| Violation::new(&error))))
        .unwrap_or_else(|_| Err(Violation::undecided()))
}

/// Why a schema cannot be used. The configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema {}{}: {reason}", file_label(.file), pointer_label(.pointer))]
pub struct SchemaError {
    /// The file given to [`Schema::load`].
    pub file: Option<PathBuf>,
    /// JSON pointer to the fault in the schema; empty for the schema as a whole.
    pub pointer: String,
    /// What is wrong.
    pub reason: String,
}

impl SchemaError {
    pub(crate) fn whole(reason: String) -> Self {
        Self { file: None, pointer: String::new(), reason }
    }

    pub(crate) fn of_file(self, path: &Path) -> Self {
        Self { file: Some(path.to_owned()), ..self }
    }

    /// From the meta-schema, to which the schema is the instance.
    fn at_instance(error: &ValidationError<'_>) -> Self {
        Self { file: None, pointer: error.instance_path().as_str().to_owned(), reason: reason(error) }
    }

    /// From the compiler, which reports the keyword that it stopped at.
    fn at_keyword(error: &ValidationError<'_>) -> Self {
        Self { file: None, pointer: error.schema_path().as_str().to_owned(), reason: reason(error) }
    }
}

/// The whole chain of causes: the outermost alone says only that something was not retrieved.
fn reason(error: &ValidationError<'_>) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = inner.source();
    }
    if reason.ends_with("is not a \"regex\"") {
        reason.push_str(
            "; the pattern is malformed, too large, or uses look-around or back-references, which can take \
             unbounded time and are not supported",
        );
    }
    reason
}

fn file_label(file: &Option<PathBuf>) -> String {
    file.as_ref().map_or_else(|| "text".to_owned(), |file| file.display().to_string())
}

fn pointer_label(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" at {pointer}") }
}

/// Checks a schema against its meta-schema. The compiler does so as well, but its error does not tell a place
/// in the schema from one in the meta-schema.
fn refuse_invalid(schema: &Value) -> Result<(), SchemaError> {
    if Draft::default().detect(schema) == Draft::Unknown {
        return Err(SchemaError {
            pointer: "/$schema".to_owned(),
            ..SchemaError::whole("names no known draft; use draft 4, 6, 7, 2019-09 or 2020-12".to_owned())
        });
    }
    jsonschema::meta::validate(schema).map_err(|error| SchemaError::at_instance(&error))
}

/// A `file` URI (RFC 8089) for an absolute path.
fn file_uri(path: &Path) -> Result<String, SchemaError> {
    let path = path
        .to_str()
        .ok_or_else(|| SchemaError::whole("its path is not UTF-8; move it to one that is".to_owned()))?;
    let mut uri = "file://".to_owned();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(byte.into())
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::json::Limits;

    fn document(text: &str) -> Document<'_> {
        Document::parse(text, &Limits::default()).unwrap()
    }

    fn refusal(text: &str) -> SchemaError {
        Schema::from_text(text, None).unwrap_err()
    }

    #[test]
    fn an_invalid_schema_names_the_place() {
        for (text, pointer, reason) in [
            (r#"{"properties": {"a": {"type": "strin"}}}"#, "/properties/a/type", "is not valid"),
            (r#"{"properties": {"a": {"minimum": "1"}}}"#, "/properties/a/minimum", "number"),
            (r#"{"properties": {"a": {"pattern": "("}}}"#, "/properties/a/pattern", "regex"),
            (r##"{"items": {"$ref": "#/$defs/nowhere"}}"##, "", "nowhere"),
            (r#"{"type": "object""#, "", "not JSON"),
            (r#"{"type": "object", "type": "array"}"#, "", "same member name"),
            (r#"{"$schema": "https://example.com/mine", "type": "object"}"#, "/$schema", "known draft"),
            (
                r#"{"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": 1}"#,
                "/exclusiveMinimum",
                "boolean",
            ),
            ("[]", "", "is not"),
        ] {
            let error = refusal(text);
            assert!(error.reason.contains(reason), "{text}: {error}");
            assert_eq!(error.pointer, pointer, "{text}: {error}");
        }
    }

    #[test]
    fn patterns_that_could_backtrack_are_refused() {
        for pattern in ["^(?!a)", "(a)\\\\1", "(?<=a)b", "(?:a{1000}){1000}"] {
            let error = refusal(&format!(r#"{{"properties": {{"a": {{"pattern": "{pattern}"}}}}}}"#));
            assert_eq!(error.pointer, "/properties/a/pattern", "{error}");
            assert!(error.reason.contains("look-around"), "{error}");
        }
        let error = refusal(r#"{"patternProperties": {"^(?!a)": true}}"#);
        assert!(error.to_string().contains("look-around"), "{error}");
    }

    #[test]
    fn nothing_is_fetched() {
        for uri in [
            "http://127.0.0.1:1/a.json",
            "https://example.com/a.json",
            "ftp://x/y",
            "urn:x:y",
            "file:///etc/passwd",
        ] {
            let error = refusal(&format!(r#"{{"$ref": "{uri}"}}"#));
            assert!(error.reason.contains("is not"), "{uri}: {error}");
        }
        let error = refusal(r#"{"$id": "https://example.com/a/", "$ref": "b.json"}"#);
        assert!(
            error.reason.contains("https://example.com/a/b.json") && error.reason.contains("is not fetched"),
            "{error}"
        );
    }

    #[test]
    fn references_reach_the_folder_and_no_further() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("schemas");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(outer.path().join("secret.json"), "{}").unwrap();
        fs::write(folder.join("price.json"), r#"{"minimum": 0}"#).unwrap();
        fs::write(folder.join("sub/order.json"), r#"{"properties": {"price": {"$ref": "../price.json"}}}"#)
            .unwrap();
        std::os::unix::fs::symlink("../secret.json", folder.join("link.json")).unwrap();
        let root = folder.join("root.json");

        fs::write(&root, r#"{"$ref": "sub/order.json"}"#).unwrap();
        for schema in [Schema::load(&root), Schema::from_text(r#"{"$ref": "sub/order.json"}"#, Some(&folder))]
        {
            let violation = schema.unwrap().check(&document(r#"{"price": -1}"#)).unwrap_err();
            assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("/price", "minimum"));
        }
        for reference in
            ["../secret.json", "link.json", "%2e%2e/secret.json", "/etc/hostname", "missing.json", "sub"]
        {
            fs::write(&root, format!(r#"{{"$ref": "{reference}"}}"#)).unwrap();
            let error = Schema::load(&root).unwrap_err();
            assert_eq!(error.file.as_deref(), Some(root.as_path()), "{reference}");
            assert!(error.to_string().contains("root.json"), "{error}");
        }
    }

    #[test]
    fn a_schema_file_may_be_a_link() {
        let outer = tempfile::tempdir().unwrap();
        let real = outer.path().join("..revision");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("root.json"), r#"{"$ref": "type.json"}"#).unwrap();
        fs::write(real.join("type.json"), r#"{"type": "null"}"#).unwrap();
        for name in ["root.json", "type.json"] {
            std::os::unix::fs::symlink(real.join(name), outer.path().join(name)).unwrap();
        }
        let schema = Schema::load(&outer.path().join("root.json")).unwrap();
        assert!(schema.is_valid(&document("null")) && !schema.is_valid(&document("1")));
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.json");
        assert!(Schema::load(&missing).unwrap_err().to_string().contains("missing.json"));
        assert!(Schema::load(folder.path()).unwrap_err().reason.contains("regular file"));
    }

    #[test]
    fn drafts_differ_in_their_formats() {
        let email = |draft: &str| format!(r#"{{"$schema": "{draft}", "format": "email"}}"#);
        for (draft, asserts) in [
            ("http://json-schema.org/draft-04/schema#", true),
            ("http://json-schema.org/draft-06/schema#", true),
            ("http://json-schema.org/draft-07/schema#", true),
            ("https://json-schema.org/draft/2019-09/schema", false),
            ("https://json-schema.org/draft/2020-12/schema", false),
        ] {
            let schema = Schema::from_text(&email(draft), None).unwrap();
            assert_eq!(schema.is_valid(&document(r#""not an address""#)), !asserts, "{draft}");
        }
    }

    #[test]
    fn violations_tell_where_and_not_what() {
        let schema = Schema::from_text(
            r#"{"properties": {"login": {"additionalProperties": {"maxLength": 3}}}}"#,
            None,
        )
        .unwrap();
        let violation = schema.check(&document(r#"{"login": {"pass\n/word": "hunter2"}}"#)).unwrap_err();
        assert_eq!(violation.pointer, "/login/pass?~1word");
        assert_eq!(violation.keyword, "maxLength");
        assert_eq!(violation.schema_pointer, "/properties/login/additionalProperties/maxLength");
        assert!(!format!("{violation:?} {violation}").contains("hunter2"));
    }

    #[test]
    fn what_can_be_held_exactly_is_compared_exactly() {
        let schema = Schema::from_text(r#"{"maximum": 9007199254740992, "multipleOf": 2}"#, None).unwrap();
        assert!(schema.is_valid(&document("9007199254740992")));
        assert!(!schema.is_valid(&document("9007199254740993")));
        assert!(!schema.is_valid(&document("-9007199254740993")));
        assert!(!schema.is_valid(&document("18446744073709551615")));
    }
}
