//! SQL smuggled into a query: broken-out quotes, conditions that are always true, appended statements.
//!
//! Scan time is won by what stands around the short words: Hyperscan looks for literals of three bytes or more, so
//! `or` is written with the character before and behind it, and `\b` is left to rules with a longer word in them.

use super::{BuiltinRule, rule};

/// One piece of what separates SQL words: spaces (among them U+00A0), a plus (a space in URLs), comments.
macro_rules! space {
    () => {
        r"(?:[\s+\x00\xa0\xc2]|/\*[^*]*\*/)"
    };
}

/// At least one separator.
macro_rules! sp {
    () => {
        concat!(space!(), "+")
    };
}

/// Any number of separators, and none.
macro_rules! os {
    () => {
        concat!(space!(), "*")
    };
}

/// `or` and its kin behind the quote that ends the attacked string, and perhaps its parentheses.
macro_rules! break_out {
    () => {
        concat!(
            r#"['"](?:"#, space!(), r"|\))*(?:(?:[\s+)'\x22/\xa0]|\*/)(?:or|and|xor)[\s+(!~/*'\x22@\xa0\xc2\x00-]|\|\||&&)", operand!()
        )
    };
}

/// The same with the quote right before the word: 'or'.
macro_rules! break_out_tight {
    () => {
        concat!(r#"['"](?:or|and|xor)[\s+(!~/*'\x22@\xa0\xc2\x00-]"#, operand!())
    };
}

/// Signs, parentheses and negations before an operand.
macro_rules! operand {
    () => {
        concat!("(?:", space!(), r"|[(!~*/-]|not", sp!(), ")*")
    };
}

/// The end of the value, as the end of the message or of a JSON string.
macro_rules! end {
    () => {
        r#"(?:$|["'])"#
    };
}

/// A comment that cuts the rest of the query off; prose goes on after its dashes.
macro_rules! cut {
    () => {
        concat!(r"(?:(?:--[\s+-]*|\#\s*|;\x00)", end!(), r"|/\*|--\+|--\s-)")
    };
}

/// Equal numbers, and no more digits.
macro_rules! same_number {
    () => {
        concat!(same_number_open!(), r"(?:$|\W)")
    };
}

macro_rules! same_number_open {
    () => {
        concat!(
            r"(?:0\)*\s*=\s*\(*0|1\)*\s*=\s*\(*1|2\)*\s*=\s*\(*2|3\)*\s*=\s*\(*3|4\)*\s*=\s*\(*4|5\)*\s*=\s*\(*5|",
            r"6\)*\s*=\s*\(*6|7\)*\s*=\s*\(*7|8\)*\s*=\s*\(*8|9\)*\s*=\s*\(*9|11\s*=\s*11|1337\s*=\s*1337|",
            r"42\s*=\s*42|true|0x1\s*=\s*0x1)",
        )
    };
}

/// Equal short strings.
macro_rules! same_string {
    () => {
        concat!(
            r#"(?:''\s*=\s*'|""\s*=\s*"|"#,
            same!("0"), "|", same!("1"), "|", same!("2"), "|", same!("3"), "|", same!("5"), "|", same!("7"), "|",
            same!("9"), "|", same!("a"), "|", same!("b"), "|", same!("c"), "|", same!("s"), "|", same!("t"), "|",
            same!("x"), "|", same!("y"), "|", same!("z"), "|", same!("test"), "|", same!("foo"), "|",
            same!("something"), ")"
        )
    };
}

macro_rules! same {
    ($text:literal) => {
        concat!(r#"n?['"]"#, $text, r#"['"]\)*\s*(?:=|<=>|like)\s*\(*n?['"]"#, $text, r#"(?:$|\W)"#)
    };
}

/// Functions that only an attacker puts behind a broken-out quote.
macro_rules! probe {
    () => {
        concat!(
            r"(?:ascii|ord|sleep|pg_sleep|benchmark|extractvalue|updatexml|exists|load_file|",
            r"(?:sub)?str(?:ing)?\((?:\(|@@|user|database|version|password|select)|",
            r"mid\((?:\(|@@|user|database|version|password|select)|",
            r"(?:char_)?length\((?:\(|@@|user|database|version|password|select)|",
            r"(?:if|iif|case|ifnull|elt)\((?:\d|\()|",
            r"(?:user|database|version|current_user|system_user|schema)\(\s*\))",
        )
    };
}

/// What makes `select` SQL and not English.
macro_rules! select_list {
    () => {
        concat!(
            r"(?:\*|@@?\w|null\b|(?:distinct|top", sp!(), r"\d+)", sp!(), r"\w|\w+", os!(), r"\(|[\w.@]+", os!(), r",|",
            r#"\d+"#, os!(), r#"(?:,|--|\#|/\*|;|\)|$|["'])|\d+"#, sp!(), r"from\b|n?'[^']*'|0x[\da-f]{2}|\()",
        )
    };
}

#[rustfmt::skip]
pub(super) const RULES: &[BuiltinRule] = &[
    // ' OR 1=1: the quote ends the string, the condition opens the query. Comparison of two constants.
    rule("sqli/tautology", concat!(
        break_out!(), r"(?:0x[\da-f]+|\d+(?:\.\d+)?)(?:", space!(), r"|\))*",
        r"(?:(?:=|<=>|<>|!=|<=|>=|<|>)", operand!(), r#"\d|=['"]|(?:not"#, sp!(), r")?(?:in", os!(), r"\(|between", sp!(), r"\d+", sp!(), r"and", sp!(),
        r#"\d|like"#, os!(), r#"['"\d]|is"#, sp!(), r"(?:not", sp!(), r")?null))",
    )),
    rule("sqli/tautology-tight", concat!(
        break_out_tight!(), r"(?:0x[\da-f]+|\d+(?:\.\d+)?)(?:", space!(), r"|\))*(?:=|<=>|<>|!=|<=|>=|<|>|like)", operand!(), r#"['"\d]"#,
    )),
    // ' OR 'a'='a: equal strings, with or without the last quote.
    rule("sqli/tautology-string", concat!(
        r"(?:[\s+)'\x22/\xa0](?:or|and|xor)[\s+(!~/*'\x22\xa0\xc2\x00-]|\|\||&&)", operand!(), r#"['"]?"#, same_string!(),
    )),
    // ' OR 'any'='thing: unequal strings say nothing, unless the quotes are left open or cut off.
    rule("sqli/tautology-open", concat!(
        break_out!(), r"n?'[^'\n]*'", r"\)*", os!(), r"(?:=|<>|!=|<=>|>|<|like)", os!(), r"\(*n?'",
        r"[^'\n\x22]*(?:$|\x22|'[\s)]*", cut!(), r")",
    )),
    // ' OR 1-- : a true constant and a comment.
    rule("sqli/tautology-cut", concat!(break_out!(), r"(?:true|\d+)(?:\)*", os!(), cut!(), r"|--)")),
    // 1 OR 1=1: no quote to break out of; so only equal constants count, after a number that starts a value.
    rule("sqli/tautology-number", concat!(
        r#"(?:[^=\d.\s]|^|[a-z_\]]=)\s*-?\d+[\s)]*(?:(?:[\s+/)]|\*/)or[\s+/(!*]|\|\|)"#, operand!(), r"(?:", same_number!(), "|", same_string!(), ")",
    )),
    // id=1 AND 1=2: probing a URL parameter.
    rule("sqli/boolean-probe", r"\w=-?\d+[ +)]*[ +](?:or|and|xor)[ +]\(*\d+\s?(?:=|<|>|<>|!=)\s?\d"),
    // word OR 1=1 -- : cut off.
    rule("sqli/condition-cut", concat!(
        r"[\s+/)'\x22](?:or|and)[\s+/(]", operand!(), same_number_open!(), r"\)*", os!(), cut!(),
    )),
    // '=''or' and '=0--: the empty string as an operand.
    rule("sqli/empty-operand", r"'\s*(?:=|<>|\|\||\+|-|\*|&|\^)\s*''\s*(?:or|and|\|\|)\s*'|'=0\s*(?:--|\#)"),
    // A second result set.
    rule("sqli/union-select", concat!(
        // Here line comments count as spaces too.
        r"\bunion(?:", space!(), r"|\(|--[^\n]*\n|\#[^\n]*\n)+(?:",
        r"(?:all|distinct|distinctrow)(?:", space!(), r"|\(|--[^\n]*\n|\#[^\n]*\n)+select\b",
        r"|select", os!(), select_list!(),
        r"|select", sp!(), r"[\w.@]+", sp!(), r"from", sp!(), r"[\w\x60\[\x22.]+)",
    )),
    // MySQL runs what stands in versioned comments: /*!50000UNION*/.
    rule("sqli/versioned-comment",
        r"/\*!\d{5,6}\s*[a-z(]|/\*!\s*(?:union|select|or|and|from|where|concat|all|order|group)\s*\*/"),
    // '; DROP TABLE users: a second statement behind a broken-out quote.
    rule("sqli/stacked-statement", concat!(
        r#"['"][\s)]*"#, os!(), r";", os!(), r"(?:",
        r"(?:drop|alter|create|truncate)", sp!(), r"(?:table|database|schema|user|login|view|index|procedure|function|trigger|role)\b",
        r"|delete", sp!(), r"from", sp!(), r"\w|truncate", sp!(), r"\w+", os!(), r"(?:;|--|", end!(), r")",
        r"|shutdown", os!(), r"(?:;|--|with)|select", sp!(), select_list!(),
        r"|select", sp!(), r"\w+", sp!(), r"from", sp!(), r"\w|(?:exec|execute|call)", sp!(), r"[\w.@]+|begin", sp!(), r"(?:declare|execute)",
        r"|grant", sp!(), r"\w+", sp!(), r"(?:on|to)\b|copy", sp!(), r"\w+", sp!(), r"(?:from|to)\b)",
    )),
    // 1; DROP TABLE users--: without a quote, a whole statement is asked for.
    rule("sqli/stacked-whole-statement", concat!(
        r";", os!(), r"(?:drop", sp!(), r"(?:table|database|schema|view)", sp!(), r"(?:if", sp!(), r"exists", sp!(), r")?",
        r#"[\w.\x60"'\[\]]+"#, os!(), r"(?:;|--|\#|/\*|cascade)",
        r"|delete", sp!(), r"from", sp!(), r"[\w.\x60\[\]]+", os!(), r"(?:;|--|\#|/\*|where\b[^\n\x22]*[=<>])",
        r"|insert", sp!(), r"into", sp!(), r"[\w.\x60\[\]]+", os!(), r"(?:\([^)\n]*\)", os!(), r")?(?:values", os!(), r"\(|select\b)",
        r"|update", sp!(), r"[\w.\x60\[\]]+", sp!(), r"set", sp!(), r"[\w.\x60\[\]]+", os!(), r"=",
        r"|select", sp!(), r"(?:\*|[\w.@]+(?:", os!(), r",", os!(), r"[\w.@]+)*)", sp!(), r"from", sp!(), r"[\w.]+", os!(), r"(?:--|\#|/\*|;|where\b[^\n\x22]*[=<>]|limit\b)",
        r"|select", sp!(), r"(?:\*", sp!(), r"from|pg_sleep|sleep|benchmark|load_file|version|user|database)\b",
        r"|declare", sp!(), r"@\w|shutdown", sp!(), r"with", sp!(), r"nowait|exec(?:ute)?", sp!(), r"(?:master|xp_|sp_|\(|@)",
        r"|alter", sp!(), r"(?:table|user|login)", sp!(), r"\w+", sp!(), r"(?:add|drop|modify|identified|with|rename)\b",
        r"|truncate", sp!(), r"table", sp!(), r"\w+|create", sp!(), r"(?:user|login)", sp!(), r"\w+", sp!(), r"(?:identified|with))",
    )),
    // The answer comes late when the guess is right.
    rule("sqli/time-delay", concat!(
        r"\bwaitfor", sp!(), r"(?:delay|time)", os!(), r#"[n(]*['"\\]*\d"#,
        r"|\bselect", os!(), r"[(\s]*(?:pg_)?sleep", os!(), r"\(", os!(), r"\d",
        r#"|['"\d][\s)]*"#, os!(), r"(?:or|and|xor|\|\||&&|,|;|\+|-|\*)(?:", space!(), r"|[(!~-])*(?:pg_sleep|sleep)", os!(), r"\(", os!(), r"\d+", os!(), r"\)",
        os!(), r"(?:--|\#|/\*|=|<|>|and\b|or\b|\)|'|\x22|$|\+)",
        r"|\b(?:if|case|elt|iif|ifnull)", os!(), r"\([^;\n\x22]*[^.\w](?:pg_)?sleep", os!(), r"\(", os!(), r"\d+", os!(), r"\)",
        r"|\bbenchmark", os!(), r"\(", os!(), r"[\de]{4,}", os!(), r",", os!(), r"\(*(?:md5|sha1|sha2?|encode|encrypt|rand|char|select|compress)\b",
        r"|\bdbms_(?:pipe", os!(), r"\.", os!(), r"receive_message|lock\.sleep|session\.sleep)", os!(), r"\(",
        r"|\brandomblob", os!(), r"\(", os!(), r"\d{6,}",
        r"|\bgenerate_series", os!(), r"\(", os!(), r"1", os!(), r",", os!(), r"\d{6,}",
    )),
    // admin'-- : the rest of the query is commented out.
    rule("sqli/comment-after-quote", concat!(
        r"'\)*(?:--[\s+-]*|\#|/\*|;\s?--[^\n]{0,16})(?:$|\x22)|[\w')]'\)*(?:--\s-|--\+)|\w'\)+\s?(?:--|\#)|\d'\s+--\s*(?:$|\x22)",
        r#"|(?:admin|administrator|root|user|guest)['"][\s)]*(?:--|\#|/\*|;\s?--)"#,
    )),
    // Reading the catalogue of tables.
    rule("sqli/catalogue", concat!(
        r"\b(?:from|join|into)", os!(), r#"[(\x60"'\[\s]*(?:information_schema[\x60"'\]]?"#, os!(), r"\.|mysql\.(?:user|db|innodb)|pg_catalog\.|pg_(?:shadow|user|tables|database)\b",
        r"|sys(?:objects|columns|databases|users)\b|sys\.(?:tables|objects|columns|databases|schemas|user\$|sql_logins)|master\.\.sys|sqlite_(?:master|schema)\b",
        r"|(?:all|user|dba)_(?:tables|tab_columns|users|objects)\b|v\$(?:version|database|instance)|msysobjects\b)",
    )),
    // Asking for the server's version and settings.
    rule("sqli/server-variable", concat!(
        r"(?:select|[(,=<>+/])", os!(), r"@@(?:global\.|session\.)?(?:version|hostname|datadir|basedir|secure_file_priv|servername|language|spid)",
    )),
    // Answers smuggled out in error messages.
    rule("sqli/error-based", concat!(
        r"\b(?:extractvalue|updatexml)", os!(), r"\(", os!(), r"[^,()\n]*,", os!(), r"(?:concat|\(|0x|make_set)",
        r"|\bfloor", os!(), r"\(", os!(), r"rand", os!(), r"\(|\bgroup", sp!(), r"by", sp!(), r"[\w(,)]+", sp!(), r"having", sp!(), r"(?:min|1)\b",
        r"|\b(?:convert|cast|try_convert)", os!(), r"\(", os!(), r"(?:int", os!(), r",", os!(), r")?(?:\(", os!(), r"select|@@)",
        r"|\b(?:utl_inaddr\.get_host_\w+|ctxsys\.drithsx\.sn|utl_http\.request|xmltype|httpuritype|dbms_ldap\.init)", os!(), r"\(",
        r"|\bexp", os!(), r"\(", os!(), r"~|\bprocedure", sp!(), r"analyse", os!(), r"\(|\bjson_keys", os!(), r"\(", os!(), r"\(", os!(), r"select|\bgtid_subset", os!(), r"\(",
    )),
    // A query as the argument of a function or the operand of a comparison: blind extraction.
    rule("sqli/blind-subselect", concat!(
        r"[a-z_=<>|+*/-]", os!(), r"\((?:", space!(), r"|\(|distinct)*\bselect", sp!(), select_list!(), r"[^;\n\x22]*\bfrom\b",
        r"|(?:[a-z_]|[=<>|+]", os!(), r")\((?:", space!(), r"|\()*select", sp!(), r"[^;\n\x22]*[\s+/)]from[\s+/(\x60]",
        r#"|(?:[\s+)'\x22/](?:or|and|xor)[\s+(!~/*'\x22-]|\|\||&&|['\x22]\s*,)"#, operand!(), r"\(", os!(), r"select\b",
        r"|\(", os!(), r"select", os!(), r"\(+", os!(), r"\w+", os!(), r"\)+", os!(), r"from",
    )),
    // A probing function behind a broken-out quote.
    rule("sqli/function-probe", concat!(
        break_out!(), probe!(), os!(), r"[(=<>]",
    )),
    // Counting the columns: ' ORDER BY 5--.
    rule("sqli/column-count", concat!(
        r#"['"\d][\s)]*"#, sp!(), r"(?:order|group)", sp!(), r"by", sp!(), r"\d+(?:", os!(), r",", os!(), r"\d+)*(?:", os!(), cut!(), r"|--)",
        r#"|['"][\s)]*"#, sp!(), r"having", sp!(), r"[\d']+", os!(), r"=", os!(), r"[\d']",
        r#"|'[\s)]*"#, sp!(), r"(?:order|group)", sp!(), r"by", sp!(), r"\d+", os!(), end!(),
    )),
    // Shell commands out of the database server.
    rule("sqli/system-command", concat!(
        r"\bexec(?:ute)?\b[\s(@'\[\]\w.;=+]{0,64}\bxp_\w+|\bxp_(?:cmdshell|dirtree|regread|regwrite|fileexist|subdirs)", os!(), r#"[('"@\[]"#,
        r"|\bsp_(?:configure|oacreate|oamethod|addextendedproc|executesql|addlogin|addsrvrolemember|password)", sp!(), r#"n?[@'"]"#,
        r"|\bcopy\b[^;\n\x22]*\b(?:from|to)", sp!(), r"program", sp!(), r"'",
        r"|\bsys_(?:exec|eval)", os!(), r"\(|\bopenrowset", os!(), r"\(|\bdbms_(?:scheduler|java|xslprocessor)\.\w+", os!(), r"\(",
    )),
    // Files read or written by the database server.
    rule("sqli/file-access", concat!(
        r"\b(?:select|union)\b[^;\x22]*\bload_file", os!(), r"\(|\bload_file", os!(), r"\(", os!(), r"(?:0x[\da-f]{4}|char", os!(), r"\(|concat", os!(), r"\()",
        r#"|\binto"#, sp!(), r#"(?:out|dump)file"#, os!(), r#"[('"0@\\]"#,
        r"|\bload", sp!(), r"data", sp!(), r"(?:(?:local|low_priority|concurrent)", sp!(), r")*infile", os!(), r"['\x22]",
        r"|\b(?:pg_read_file|pg_ls_dir|lo_import|lo_export)", os!(), r"\(|\butl_file\.\w+", os!(), r"\(",
    )),
    // Strings built from codes, to do without quotes.
    rule("sqli/encoded-string", concat!(
        r"\b(?:group_)?concat(?:_ws)?", os!(), r"\((?:[^()\n]*,)?", os!(), r"(?:0x[\da-f]{2}|char", os!(), r"\(|@@|(?:user|database|version)", os!(), r"\()",
        r"|\bn?cha?r", os!(), r"\(", os!(), r"\d{2,3}", os!(), r"\)", os!(), r"(?:\|\||\+)", os!(), r"n?cha?r", os!(), r"\(", os!(), r"\d",
        r"|\bchar", os!(), r"\(", os!(), r"\d{2,3}(?:", os!(), r",", os!(), r"\d{2,3}){2,}|\bunhex", os!(), r"\(", os!(), r"hex", os!(), r"\(",
    )),
];
