use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    fs::{self, File},
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use prost_reflect::{
    Cardinality as Label, DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor,
    Kind as Described, MessageDescriptor, OneofDescriptor, Syntax,
};
use protox::{
    Compiler,
    file::{ChainFileResolver, File as ProtoFile, FileResolver, GoogleFileResolver},
};

use super::types::{Cardinality, Enum, EnumIndex, Field, Kind, Message, MessageIndex, MessageType, Scalar};
use crate::json::{
    SchemaError,
    retrieve::{self, FILES_MAX},
    schema::folder_of,
};

/// The largest descriptor set, in bytes: many files, and what each imports.
const SET_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What a source file is called; any other file is a descriptor set.
const SOURCE: &str = "proto";
/// The name that a text without a file goes by.
const TEXT: &str = "text.proto";
/// How many names an error lists.
const NAMES_MAX: usize = 8;

impl MessageType {
    /// Reads the type `name` (with its package, as `trade.Order`) from a `.proto` file, or from a descriptor set if the file
    /// is called otherwise. Imports may reach other files of its folder and below, and Google's own. This blocks on the
    /// file system: not for a shard.
    ///
    /// # Errors
    /// [`SchemaError`] if a file cannot be read or compiled, or has no such type.
    pub fn load(path: &Path, name: &str) -> Result<Self, SchemaError> {
        let about_file = |reason: String| SchemaError::whole(reason).of_file(path);
        let pool = if path.extension().is_some_and(|it| it == SOURCE) {
            let text = retrieve::read(path).map_err(about_file)?;
            let own = path.file_name().and_then(|name| name.to_str()).unwrap_or(TEXT);
            compile(own, text, Some(folder_of(path)?)).map_err(about_file)?
        } else {
            let set = read_set(path).map_err(about_file)?;
            DescriptorPool::decode(&*set).map_err(|error| about_file(not_a_set(&format!("{error:?}"))))?
        };
        Self::of(&pool, name).map_err(about_file)
    }

    /// Reads the type `name` from the text of a `.proto` file, which may import Google's own files only.
    ///
    /// # Errors
    /// [`SchemaError`] if the text cannot be compiled, or has no such type.
    pub fn from_text(text: &str, name: &str) -> Result<Self, SchemaError> {
        let pool = compile(TEXT, text.to_owned(), None).map_err(SchemaError::whole)?;
        Self::of(&pool, name).map_err(SchemaError::whole)
    }

    fn of(pool: &DescriptorPool, name: &str) -> Result<Self, String> {
        let root = pool.get_message_by_name(name).ok_or_else(|| unknown_message(pool, name))?;
        Ok(Table::of(root))
    }
}

fn not_a_set(reason: &str) -> String {
    format!(
        "not a descriptor set: {reason}; write it with protoc --descriptor_set_out --include_imports, or call a source \
         file .proto"
    )
}

fn unknown_message(pool: &DescriptorPool, name: &str) -> String {
    let mut names: Vec<_> = pool
        .all_messages()
        .filter(|it| !it.is_map_entry() && it.package_name() != "google.protobuf")
        .map(|it| it.full_name().to_owned())
        .collect();
    names.sort();
    let more = if names.len() > NAMES_MAX { ", and more" } else { "" };
    names.truncate(NAMES_MAX);
    format!("it has no message \"{name}\"; it has {}{more}", names.join(", "))
}

fn read_set(path: &Path) -> Result<Vec<u8>, String> {
    // A device or a pipe could be read for ever, and opening one can block.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut set = Vec::new();
    let bounded = File::open(path).map(|file| file.take(SET_BYTES_MAX + 1));
    bounded.and_then(|mut file| file.read_to_end(&mut set)).map_err(|error| error.to_string())?;
    if set.len() as u64 > SET_BYTES_MAX {
        return Err(format!("larger than {SET_BYTES_MAX} bytes; leave out what the message does not need"));
    }
    Ok(set)
}

fn compile(own: &str, text: String, folder: Option<PathBuf>) -> Result<DescriptorPool, String> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(FolderResolver { own: own.to_owned(), text, folder, files: Cell::new(0) });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    // With `Debug` it says where in the file.
    compiler.open_file(own).map_err(|error| format!("{error:?}"))?;
    Ok(compiler.descriptor_pool())
}

/// Finds imports among the files of the schema's folder, and nowhere else.
struct FolderResolver {
    own: String,
    text: String,
    /// Canonical. `None`: the schema stands alone.
    folder: Option<PathBuf>,
    files: Cell<usize>,
}

impl FileResolver for FolderResolver {
    fn open_file(&self, name: &str) -> Result<ProtoFile, protox::Error> {
        if name == self.own {
            return ProtoFile::from_source(name, &self.text);
        }
        let not_found = || protox::Error::file_not_found(name);
        let folder = self.folder.as_deref().ok_or_else(not_found)?;
        let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain {
            return Err(protox::Error::new(format!(
                "import \"{name}\" leaves its folder; copy the file there"
            )));
        }
        // Google's own come from elsewhere if they are not here.
        let file = folder.join(name).canonicalize().map_err(|_| not_found())?;
        if !file.starts_with(folder) {
            let reason = format!("import \"{name}\" is a link out of its folder; copy the file there");
            return Err(protox::Error::new(reason));
        }
        self.files.set(self.files.get() + 1);
        if self.files.get() > FILES_MAX {
            let reason = format!("the schema imports more than {FILES_MAX} files; join some of them");
            return Err(protox::Error::new(reason));
        }
        let text = retrieve::read(&file)
            .map_err(|reason| protox::Error::new(format!("{}: {reason}", file.display())))?;
        ProtoFile::from_source(name, &text)
    }
}

/// Collects what a message type refers to, each once.
#[derive(Default)]
struct Table {
    messages: HashMap<String, MessageIndex>,
    /// Numbered, and not looked into yet.
    pending: VecDeque<MessageDescriptor>,
    enum_places: HashMap<String, EnumIndex>,
    enums: Vec<Enum>,
}

impl Table {
    fn of(root: MessageDescriptor) -> MessageType {
        let mut table = Self::default();
        table.message(root);
        let mut messages = Vec::new();
        while let Some(descriptor) = table.pending.pop_front() {
            messages.push(table.described(&descriptor));
        }
        let mut fields = messages.iter().flat_map(|message| &message.fields);
        let has_required = fields.any(|field| field.cardinality == Cardinality::Required);
        MessageType { messages, enums: table.enums, has_required }
    }

    fn message(&mut self, descriptor: MessageDescriptor) -> MessageIndex {
        let next = MessageIndex(self.messages.len());
        match self.messages.get(descriptor.full_name()) {
            Some(known) => *known,
            None => {
                self.messages.insert(descriptor.full_name().to_owned(), next);
                self.pending.push_back(descriptor);
                next
            }
        }
    }

    fn described(&mut self, descriptor: &MessageDescriptor) -> Message {
        let real = |oneof: OneofDescriptor| (!oneof.is_synthetic()).then(|| oneof.name().into());
        let oneofs: Vec<Box<str>> = descriptor.oneofs().filter_map(real).collect();
        let mut fields: Vec<Field> = descriptor
            .fields()
            .map(|field| {
                let oneof = field.containing_oneof().and_then(real);
                let oneof = oneof.and_then(|name| oneofs.iter().position(|other| *other == name));
                self.field(&field, oneof)
            })
            .collect();
        fields.extend(descriptor.extensions().map(|extension| self.extension(&extension)));
        fields.sort_by_key(|field| field.number);
        Message { name: descriptor.full_name().into(), fields, oneofs }
    }

    fn field(&mut self, field: &FieldDescriptor, oneof: Option<usize>) -> Field {
        let cardinality = match field.cardinality() {
            Label::Repeated if field.is_map() => Cardinality::Map,
            Label::Repeated => Cardinality::Repeated,
            Label::Required => Cardinality::Required,
            Label::Optional if field.supports_presence() => Cardinality::Optional,
            Label::Optional => Cardinality::Implicit,
        };
        let kind = self.kind(field.kind(), field.is_group());
        Field { number: field.number(), name: field.name().into(), kind, cardinality, oneof }
    }

    fn extension(&mut self, extension: &ExtensionDescriptor) -> Field {
        let cardinality = match extension.cardinality() {
            Label::Repeated => Cardinality::Repeated,
            _ => Cardinality::Optional,
        };
        let kind = self.kind(extension.kind(), extension.is_group());
        Field {
            number: extension.number(),
            name: extension.json_name().into(),
            kind,
            cardinality,
            oneof: None,
        }
    }

    fn kind(&mut self, kind: Described, is_group: bool) -> Kind {
        Kind::Scalar(match kind {
            Described::Message(message) if is_group => return Kind::Group(self.message(message)),
            Described::Message(message) => return Kind::Message(self.message(message)),
            Described::String => return Kind::Text,
            Described::Bytes => return Kind::Bytes,
            Described::Double => Scalar::Double,
            Described::Float => Scalar::Float,
            Described::Int32 => Scalar::Int32,
            Described::Int64 => Scalar::Int64,
            Described::Uint32 => Scalar::Uint32,
            Described::Uint64 => Scalar::Uint64,
            Described::Sint32 => Scalar::Sint32,
            Described::Sint64 => Scalar::Sint64,
            Described::Fixed32 => Scalar::Fixed32,
            Described::Fixed64 => Scalar::Fixed64,
            Described::Sfixed32 => Scalar::Sfixed32,
            Described::Sfixed64 => Scalar::Sfixed64,
            Described::Bool => Scalar::Bool,
            Described::Enum(descriptor) => Scalar::Enum(self.enumeration(&descriptor)),
        })
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> EnumIndex {
        if let Some(known) = self.enum_places.get(descriptor.full_name()) {
            return *known;
        }
        let mut names: HashMap<i32, Box<str>> = HashMap::new();
        // Of several names for one number the first that is declared counts.
        for value in &descriptor.enum_descriptor_proto().value {
            names.entry(value.number()).or_insert_with(|| value.name().into());
        }
        let first = descriptor.enum_descriptor_proto().value.first().map_or(0, |value| value.number());
        let is_closed = descriptor.parent_file().syntax() == Syntax::Proto2;
        let next = EnumIndex(self.enums.len());
        self.enums.push(Enum { names, first, is_closed });
        self.enum_places.insert(descriptor.full_name().to_owned(), next);
        next
    }
}
