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
            r#"['"](?:(?:(?:"#,
            space!(),
            r"|\))*(?:[\s+)/\xa0]|/\*[^*]*\*/))?(?:or|and|xor)[\s+(!~/*'\x22@\xa0\xc2\x00-]|(?:",
            space!(),
            r"|\))*(?:\|\||&&))",
            operand!(),
        )
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

/// Equal numbers, in the two usual spellings: three fixed bytes each.
macro_rules! same_number {
    () => {
        concat!(
            r"(?:0=\(?0|1=\(?1|2=\(?2|3=\(?3|4=\(?4|5=\(?5|6=\(?6|7=\(?7|8=\(?8|9=\(?9|0 = 0|1 = 1|2 = 2|3 = 3|4 = 4|",
            r"5 = 5|6 = 6|7 = 7|8 = 8|9 = 9)",
        )
    };
}

/// Comparison of two numbers; by word, as LIKE, only in forms that prose lacks.
macro_rules! number_comparison {
    () => {
        concat!(
            r"(?:0x[\da-f]+|\d+(?:\.\d+)?)(?:",
            space!(),
            r"|\))*(?:(?:=|<=>|<>|!=|<=|>=|<|>)",
            operand!(),
            r#"\d|=['"]|"#,
            r"(?:not",
            sp!(),
            r")?(?:in",
            os!(),
            r"\(|between",
            sp!(),
            r"\d+",
            sp!(),
            r"and",
            sp!(),
            r#"\d|like"#,
            os!(),
            r#"['"\d]|is"#,
            sp!(),
            r"(?:not",
            sp!(),
            r")?null))",
        )
    };
}

/// Comparison of two very short strings, as '1'='1, with or without the last quote.
macro_rules! short_string_comparison {
    () => {
        r#"n?['"][^'"\n]{0,2}['"][\s)]*(?:=|<>|!=|like)[\s(]*n?['"][^'"]{0,2}(?:$|['"])"#
    };
}

/// Comparison of two strings, the last one left open, or cut off: 'some'='thing
macro_rules! open_string_comparison {
    () => {
        concat!(
            r"n?'[^'\n]*'[\s)]*(?:=|<>|!=|<=>|like|>|<)[\s(]*n?'[^'\n\x22]*(?:$|\x22|'[\s)]*",
            cut!(),
            ")"
        )
    };
}

/// A true constant with the rest cut off.
macro_rules! true_constant {
    () => {
        concat!(r"(?:true|\d+)(?:[\s)]*", cut!(), "|--)")
    };
}

/// Functions that only an attacker puts behind a broken-out quote.
macro_rules! probe {
    () => {
        concat!(
            r"(?:ascii|ord|sleep|pg_sleep|benchmark|extractvalue|updatexml|exists|load_file|user|database|version|",
            r"current_user|system_user|schema|(?:(?:sub)?str(?:ing)?|mid|(?:char_)?length|if|iif|case|ifnull|elt)\s*",
            r"\((?:\(|@@|user|database|version|password|select|\d))\s*[(=<>]",
        )
    };
}

/// What makes `select` SQL and not English.
#[rustfmt::skip]
macro_rules! select_list {
    () => {
        concat!(
            r"(?:\*|@@?\w|null\b|(?:distinct|top", sp!(), r"\d+)", sp!(), r"\w|\w+", os!(), r"\(|[\w.@]+", os!(), r"(?:,|\|\|)|",
            r"\d+", os!(), r#"(?:,|--|\#|/\*|;|\)|$|["'])|\d+"#, sp!(), r"from\b|n?'[^']*'|0x[\da-f]{2}|\()",
        )
    };
}

#[rustfmt::skip]
pub(super) const RULES: &[BuiltinRule] = &[
    // ' OR 1=1: the quote ends the string, and a condition of the attacker's follows. One rule, since its forms share
    // their start and cost little more than one of them.
    rule("sqli/condition-after-quote", concat!(
        break_out!(), "(?:", number_comparison!(), "|", short_string_comparison!(), "|", open_string_comparison!(), "|", true_constant!(), "|", probe!(), ")",
    )),
    // 1 OR 1=1: no quote to break out of; so only equal constants count, after a number that starts a value.
    rule("sqli/tautology-number", concat!(
        r"(?:[^=\d.\s]|^|[a-z_\]]\s?=)\s*-?\d+[\s)]*(?:[\s+/)]|\*/)or[\s+/(!*](?:", space!(), r"|[(!~*/-])*(?:", same_number!(), r"|",
        r#"'[^'"\n]{0,2}'\s*=\s*'[^'"\n]{0,2}(?:$|['"])|true(?:\W|$))"#,
    )),
    rule("sqli/tautology-number-bars", concat!(r"[\d)]\s*\|\|\s*\(?", same_number!())),
    // x' OR col LIKE '%: with the broken-out quote in the first word of a value, a comparison of anything will do.
    rule("sqli/condition-in-first-word", concat!(
        r#"(?:^|["=])[\w@.-]{0,32}'[\s)]*[\s)/](?:or|and)[\s(/]"#, os!(), r"(?:n?'[^'\n]*'[\s)]*(?:=|<>|!=|like|>|<)[\s(]*n?'|",
        r"[\w.]+\s*(?:=\s*'|\slike\s+'[%_]|\sis\s+(?:not\s+)?null))",
    )),
    // 1 AND 5506=5506: larger numbers than prose compares, without spaces.
    rule("sqli/tautology-large-number", r"\d[\s)]*[\s+)](?:and|or)[\s+]\(?\d{3,5}=\d{3,5}"),
    // id=1 AND 1=2: probing a URL parameter.
    rule("sqli/boolean-probe", r"[a-z_\]]=-?\d+[ +)]*[ +](?:or|and|xor)[ +]\(*\d+\s?(?:=|<|>|<>|!=)\s?\d"),
    // ... 1=1 -- : a true condition with the rest cut off.
    rule("sqli/condition-cut", concat!(same_number!(), r"\)*\s?(?:--[\s+-]*|\#|/\*)", end!())),
    // '=''or' and '=0--: the empty string as an operand.
    rule("sqli/empty-operand", r"'\s*(?:=|<>|\|\||\+|-|\*|&|\^)\s*''\s*(?:or|and|\|\|)\s*'|'=0\s*(?:--|\#)"),
    // A second result set.
    rule("sqli/union-select", concat!(
        // Here line comments count as spaces too.
        r"\bunion(?:", space!(), r"|\(|--[^\n]*\n|\#[^\n]*\n)+(?:(?:all|distinct|distinctrow)(?:", space!(), r"|\(|--[^\n]*\n|\#[^\n]*\n)+)?",
        r"select(?:", os!(), select_list!(), r"|", sp!(), r"[\w.@]+", sp!(), r"from", sp!(), r"[\w\x60\[\x22.]+)",
    )),
    // Keywords broken by comments, as some filters strip them.
    rule("sqli/broken-keyword", r"un/\*[^*]*\*/ion|uni/\*[^*]*\*/on|se/\*[^*]*\*/lect|sel/\*[^*]*\*/ect|sele/\*[^*]*\*/ct"),
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
        r"|declare", sp!(), r"@\w|shutdown", sp!(), r"with", sp!(), r"nowait|exec(?:ute)?(?:", sp!(), r"(?:master|xp_|sp_|@)|", os!(), r"\(", os!(), r"['@])",
        r"|alter", sp!(), r"(?:table|user|login)", sp!(), r"\w+", sp!(), r"(?:add|drop|modify|identified|with|rename)\b",
        r"|truncate", sp!(), r"table", sp!(), r"\w+|create", sp!(), r"(?:user|login)", sp!(), r"\w+", sp!(), r"(?:identified|with))",
    )),
    // 1; DROP TABLE users: a value that is a number, or nothing, and then a statement to its end.
    rule("sqli/stacked-value", concat!(
        r#"(?:^|["=])\d*"#, os!(), r";", os!(), r"(?:drop", sp!(), r"(?:table|database|schema|view|user)|delete", sp!(), r"from|create", sp!(), r"(?:table|user|login)|truncate", sp!(), r"table)",
        sp!(), r"[\w.\x60\[\]]+", os!(), end!(),
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
        r"(?:[a-z_]|[=<>|+*/-]", os!(), r")\((?:", space!(), r"|\()*select", sp!(), r"(?:[\w(@*.,)'=~-]|", space!(), r")*[\s+/)*]from[\s+/(\x60]",
        r"|\(", os!(), r"select", os!(), r"\(+", os!(), r"\w+", os!(), r"\)+", os!(), r"from",
    )),
    rule("sqli/subselect-operand", concat!(
        r#"(?:[\s+)'\x22/](?:or|and|xor)[\s+(!~/*'\x22-]|\|\||&&|['\x22]\s*,)"#, operand!(), r"\(", os!(), r"select[\s+(/]",
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
