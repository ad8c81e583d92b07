//! Shell commands smuggled into an argument: separators, substitutions, shells and downloads.

use super::{BuiltinRule, rule};

/// Where a command starts inside an argument: behind a separator or the start of a substitution. A lone pipe counts
/// behind something or at the start of a value, which leaves most cells of Markdown tables alone; so do backticks
/// right behind something, since in prose they are quotes with a space before them.
macro_rules! start {
    () => {
        r#"(?:[;&]|\|\||[^\s|]\s?\||(?:^|["'=])\s?\||%0a|[<>$]\(|[\w./=@:,;|&-]`|(?:(?:\d{1,3}\.){3}\d{1,3}|\blocalhost)\s*\n)\s*"#
    };
}

/// What may stand before the command's own name.
macro_rules! prefix {
    () => {
        r"(?:(?:sudo|exec|nohup|command|env|time|do|then)\s+)?(?:/(?:usr/)?(?:local/)?s?bin/)?"
    };
}

/// The end of the value, or of the command within it.
macro_rules! end {
    () => {
        r#"\s*(?:$|["'`;&#)\n]|\|\|)"#
    };
}

/// A path. Its forms have three fixed bytes or more each, which is what makes them quick to look for.
macro_rules! path {
    () => {
        r"(?:/(?:etc|proc|var|home|root|tmp|usr|opt|bin|dev|sys|srv|app|boot|mnt|\?\?\?)|\.\./|c:\\|~/\.|\$home|\$\{\w)"
    };
}

/// A file by the kind of its name.
macro_rules! file_name {
    () => {
        r"[\w-]*\.(?:txt|conf|cfg|php|env|sh|log|json|ini|ya?ml|xml|key|pem|htaccess|htpasswd|sql|ssh)(?:\W|$)"
    };
}

/// Commands that take files, and their options.
macro_rules! file_command {
    () => {
        r"(?:cat|tac|nl|od|xxd|strings|base64|head|tail|less|more|cp|mv|touch|tee|find|ls|grep\s+\S+)\s+(?:-[\w-]+\s+(?:\d+\s+)?)*<?\s*"
    };
}

/// A host argument: an address, or a name with dots.
macro_rules! host {
    () => {
        r"(?:(?:\d{1,3}\.){3}\d{1,3}|localhost|(?:[\w-]+\.)+[a-z]{2,})"
    };
}

/// Commands that say who and where one is, without arguments.
macro_rules! reconnaissance {
    () => {
        concat!(prefix!(), r"(?:whoami|ifconfig|ipconfig(?:\s+/all)?|netstat|printenv|systeminfo|tasklist)")
    };
}

/// Short commands that are also words or column names; they need more around them. Rules with them come in several forms
/// under one name, with and without what may stand before: Hyperscan looks for fixed bytes, and joined they are too many
/// for it, so that it would walk through every byte of a text.
macro_rules! short_command {
    () => {
        r"(?:id|ls|dir|pwd|ps|env|uname|hostname)"
    };
}

/// What may stand before a short command: another one, that starts it, and a path.
macro_rules! starter {
    () => {
        r"(?:sudo|exec|nohup|command|env|time)\s+(?:/(?:usr/)?(?:local/)?s?bin/)?"
    };
}

macro_rules! path_of {
    () => {
        r"/(?:usr/)?(?:local/)?s?bin/"
    };
}

/// An address, and what separates a command from it.
macro_rules! address {
    () => {
        r"(?:(?:\d{1,3}\.){3}\d{1,3}|localhost)\s*"
    };
}

macro_rules! host_name {
    () => {
        r"[\w-]\.[a-z]{2,6}\s?(?:;|\|\|?|&&?)"
    };
}

/// What a shell drops from within a word.
macro_rules! empty {
    () => {
        r"(?:''|\x22\x22|\$[@*!])"
    };
}

/// A command in backticks that means what it says.
macro_rules! quoted_command {
    () => {
        concat!(
            prefix!(),
            r"(?:id|whoami|uname|ifconfig|ipconfig|printenv|sleep\s+\d+|uname -\w|(?:cat|curl|wget|nc|ping|nslookup|rm|bash|sh|python\d?|perl|ls)\s[^`\n]+)",
        )
    };
}

pub(super) const RULES: &[BuiltinRule] = &[
    // 127.0.0.1; cat /etc/passwd
    rule("command-injection/paths", concat!(start!(), prefix!(), file_command!(), path!())),
    rule("command-injection/file-names", concat!(start!(), prefix!(), file_command!(), file_name!())),
    rule("command-injection/windows-paths", concat!(start!(), r"(?:type|dir|del|copy)\s+(?:[a-z]:\\|%\w)")),
    // x; rm -rf / : changing the machine, or looking around in it.
    rule(
        "command-injection/system",
        concat!(
            start!(),
            prefix!(),
            r"(?:uname\s+-[a-z]|ps (?:aux|-?e[fl]|-[a-z])|netstat\s+-[a-z]|id -[a-z]|sudo\s+(?:-\w|su(?:\s|$|[\x22']))|shutdown\s+[-/]\w|su\s+(?:root|-)|scp\s+/|ssh\s+\S+@|find\s+\S+\s[^;|&\n]*-(?:exec|delete)",
            r"|net\s+(?:user|localgroup)\b[^\n;|&]*/(?:add|delete|domain)|net\s+user\s*(?:$|[\x22'])",
            r"|rm -[a-z]*[rf]|ch(?:mod|own|grp)\s+(?:-\w+\s+)*(?:[ugoa]*[+=-][rwxst]+|[0-7]{3,4}|\w+:\w+)\s+\S",
            r"|mkfifo\s+\S|mknod\s+/|dd\s+if=|kill(?:all)?\s+-\d|crontab\s+-[lre]|useradd\s+-?\w)",
        ),
    ),
    // x && curl http://evil/ : out to the network.
    rule(
        "command-injection/network",
        concat!(
            start!(),
            prefix!(),
            r"(?:(?:curl|wget|fetch)\s+(?:-{1,2}[\w-]+(?:[\s=]+[\w./~@:$-]+)?\s+)*[\x22'\\]*(?:(?:https?|ftp)://|\$|",
            host!(),
            r"(?:[/:]|\s*(?:$|[\x22'`|;&)])))|ping6?\s+(?:/n|-[cnwit])\s*\d|socat\s+\S*(?:tcp|udp|exec|file)",
            r"|(?:nc|ncat|netcat|telnet)\s+(?:-\w+\s+)*",
            host!(),
            r"\s+\d{2,5}|(?:nc|ncat|netcat)\s+-\w*[elc]|(?:nslookup|dig)\s+(?:[@+-]\S+\s+)*[\x22'`]?",
            host!(),
            r"|nslookup\s+[`$])",
        ),
    ),
    // x; python -c '...' : another interpreter.
    rule(
        "command-injection/interpreter",
        concat!(
            start!(),
            prefix!(),
            r"(?:(?:python[\d.]*|perl|ruby|php|node|lua)(?:\s+-\w+)*\s+-[ecr]\s*\S|(?:ba|z|k|da|c|tc|a)?sh\s+-[ci]\s|bash\s*<",
            r"|(?:powershell|pwsh)(?:\.exe)?\s+[-/]\w|cmd(?:\.exe)?\s+/[ckr]\s|certutil(?:\.exe)?\s+-\w",
            r"|echo\s+[^;|&\n]{0,32}(?:\$\(|\$\{|`)|(?:echo|printf)\s+[^|&\n>]*>{1,2}\s*[/.~\w])",
        ),
    ),
    // x | whoami
    rule("command-injection/reconnaissance", concat!(start!(), reconnaissance!(), end!())),
    // x; ls at the end of a value: `ls` is no word of any prose.
    rule(
        "command-injection/list-files",
        concat!(
            r"(?:;|&&?|\|\|?)\s*",
            prefix!(),
            r#"(?:ls(?:\s*(?:$|["'`#)])|\s+(?:-[a-z]|/))|find\s+/\s)|[&|]\s*dir\s*(?:$|["'])"#
        ),
    ),
    // A value that starts with a separator is no text: "; id".
    rule(
        "command-injection/leading-separator",
        concat!(r#"["'=]\s?(?:;|\|\|?|&&)"#, short_command!(), r#"["';&#]"#),
    ),
    rule(
        "command-injection/leading-separator",
        concat!(r#"["'=]\s?(?:;|\|\|?|&&) "#, short_command!(), r#"["';&#]"#),
    ),
    rule(
        "command-injection/leading-separator",
        concat!(r#"["'=]\s?(?:;|\|\|?|&&) ?"#, path_of!(), short_command!(), r#"["';&#]"#),
    ),
    rule(
        "command-injection/leading-separator",
        concat!(r#"["'=]\s?(?:;|\|\|?|&&) ?"#, starter!(), short_command!(), r#"["';&#]"#),
    ),
    rule(
        "command-injection/leading-separator-alone",
        concat!(r"^\s*(?:;|\|\|?|&&|\n)", short_command!(), r"\s*(?:$|[;&#])"),
    ),
    rule(
        "command-injection/leading-separator-alone",
        concat!(r"^\s*(?:;|\|\|?|&&|\n)\s+", short_command!(), r"\s*(?:$|[;&#])"),
    ),
    rule(
        "command-injection/leading-separator-alone",
        concat!(r"^\s*(?:;|\|\|?|&&|\n)\s*", path_of!(), short_command!(), r"\s*(?:$|[;&#])"),
    ),
    rule(
        "command-injection/leading-separator-alone",
        concat!(r"^\s*(?:;|\|\|?|&&|\n)\s*", starter!(), short_command!(), r"\s*(?:$|[;&#])"),
    ),
    // "; sh": a shell that waits for more.
    rule(
        "command-injection/leading-separator-shell",
        r#"(?:^|["=])\s?(?:(?:;|\||&) ?(?:/(?:usr/)?bin/(?:ba|da|z|k)?sh|bash)|(?:;sh|; sh|\|sh|\| sh|&sh|& sh))\s*(?:$|["';&#])"#,
    ),
    // The same for commands with words behind them that would be English elsewhere: "; echo x".
    rule(
        "command-injection/leading-separator-command",
        concat!(
            r#"(?:^|")(?:; ?|&&? ?|\|\| ?)"#,
            prefix!(),
            r#"(?:(?:echo|printf|set|export|passwd|su|ssh|sleep|kill|touch|mkdir|python\d?|perl|php|bash|sh|nc|curl|wget)\s+[\w\x22'$/.-]|reboot|poweroff)"#
        ),
    ),
    rule(
        "command-injection/after-host-name",
        concat!(host_name!(), short_command!(), r"\s*(?:$|[\x22';&#])"),
    ),
    rule(
        "command-injection/after-host-name",
        concat!(host_name!(), r"\s", short_command!(), r"\s*(?:$|[\x22';&#])"),
    ),
    rule(
        "command-injection/after-host-name",
        concat!(host_name!(), r"\s?", path_of!(), short_command!(), r"\s*(?:$|[\x22';&#])"),
    ),
    rule(
        "command-injection/after-host-name",
        concat!(host_name!(), r"\s?", starter!(), short_command!(), r"\s*(?:$|[\x22';&#])"),
    ),
    // An address or host, then a command on the same line or the next: the classic ping form.
    rule(
        "command-injection/after-address",
        concat!(address!(), r"[;|&]{1,2}", short_command!(), r"(?:[^\w=-]|$)"),
    ),
    rule("command-injection/after-address", concat!(address!(), r"\n", short_command!(), r"(?:[^\w=-]|$)")),
    rule("command-injection/after-address", concat!(address!(), r"%0a", short_command!(), r"(?:[^\w=-]|$)")),
    rule(
        "command-injection/after-address",
        concat!(address!(), r"(?:[;|&]{1,2}|\n|%0a)\s+", short_command!(), r"(?:[^\w=-]|$)"),
    ),
    rule(
        "command-injection/after-address",
        concat!(address!(), r"(?:[;|&]{1,2}|\n|%0a)\s*", path_of!(), short_command!(), r"(?:[^\w=-]|$)"),
    ),
    rule(
        "command-injection/after-address",
        concat!(address!(), r"(?:[;|&]{1,2}|\n|%0a)\s*", starter!(), short_command!(), r"(?:[^\w=-]|$)"),
    ),
    rule(
        "command-injection/after-address",
        concat!(address!(), r"(?:[;|&]{1,2}|\n|%0a)\s*", reconnaissance!(), r"(?:[^\w=-]|$)"),
    ),
    // ;id# ;id&& : cut off or chained on.
    rule("command-injection/chained", concat!(";", short_command!(), r"\s*(?:\#\s*(?:$|[\x22'])|&&|\|\|)")),
    rule(
        "command-injection/chained",
        concat!(r";\s+", short_command!(), r"\s*(?:\#\s*(?:$|[\x22'])|&&|\|\|)"),
    ),
    rule(
        "command-injection/chained",
        concat!(r";\s*", path_of!(), short_command!(), r"\s*(?:\#\s*(?:$|[\x22'])|&&|\|\|)"),
    ),
    rule(
        "command-injection/chained",
        concat!(r";\s*", starter!(), short_command!(), r"\s*(?:\#\s*(?:$|[\x22'])|&&|\|\|)"),
    ),
    // The answer comes late when the command ran.
    rule(
        "command-injection/time-delay",
        concat!(
            start!(),
            prefix!(),
            r#"(?:sleep\s+\d+(?:\.\d+)?[smh]?\s*(?:$|["'`&|#)])|timeout\s+/t\s*\d|sleep\s*\$|start-sleep\s+-\w+\s+\d)"#
        ),
    ),
    // $(whoami), but not jQuery's $(id).hide(). With arguments, the rules above see it.
    rule(
        "command-injection/substitution",
        concat!(
            r"\$\(\s*",
            prefix!(),
            r"(?:(?:whoami|id|uname|ls|ps|ifconfig|ipconfig|env|printenv|hostname)\s*(?:-\w+\s*)?\)(?:[^.\[\w]|$)|(?:whoami|uname|id)\)\w",
            r"|(?:sleep|printf|awk|sed|rev|tr|wc|id|hostname|echo)\s+[\w'\x22/.$-]|cat\s*<?\s*[\w./~*])",
        ),
    ),
    // user`whoami`, and `whoami`.evil.example: backticks grown into a word.
    rule(
        "command-injection/backticks",
        concat!(
            r"[\w./=@:,;|&-]`\s*",
            prefix!(),
            r"(?:id|whoami|uname|ifconfig|ipconfig|printenv|hostname|sleep\s+\d+)(?:\s[^`\n]*)?`|`(?:id|whoami|hostname|uname -\w)`\.\w",
        ),
    ),
    // A value that is nothing but a command in backticks; "use `ls` then" is prose.
    rule("command-injection/backticks-alone", concat!(r#"["'=]`"#, quoted_command!(), r#"`["'&]"#)),
    rule("command-injection/backticks-message", concat!("^`", quoted_command!(), "`$")),
    // The shell's field separator in place of a space.
    rule("command-injection/ifs", r"[\w;|&`'\x22(/]\$(?:\{IFS\b|IFS(?:\$|\b[^\w\s=]))|\$IFS\$\d"),
    // {cat,/etc/passwd}: brace expansion in place of spaces.
    rule(
        "command-injection/brace-expansion",
        r"\{\s*(?:cat|ls|curl|wget|nc|bash|sh|ping|echo|rm|nslookup|python\d?),(?:/|-\w|\.|https?:|\x22?\$)",
    ),
    // Words broken by empty quotes or variables: c''at, wh$@oami, /???/c?t.
    rule(
        "command-injection/broken-word",
        concat!(
            r#"(?:^|[;|&`(\s"'])(?:c"#,
            empty!(),
            r"at\s|ca",
            empty!(),
            r"t\s|c",
            empty!(),
            "a",
            empty!(),
            r"t\s|w",
            empty!(),
            "hoami|wh",
            empty!(),
            "oami|who",
            empty!(),
            "ami|whoa",
            empty!(),
            "mi|whoam",
            empty!(),
            r#"i|w'h'o'a'm'i|w"h"o"a"m"i|who\$\(\)ami|c\\+at\s|wh\\+oami|who\\+ami|w\\+ho\\?am\\?i)"#,
            r"|/e(?:''|\x22\x22|\\|\$[@*])tc/|/etc/p(?:''|\x22\x22|\\|a(?:''|\x22\x22|\\))+\w+|/\?{3}/\w{0,3}\?[\w?]*|/bin/\w*\?\w*\s",
        ),
    ),
    // Files that only an attacker has displayed.
    rule(
        "command-injection/sensitive-file",
        concat!(
            r"(?:\b(?:cat|tac|head|tail|less|more|nl|od|xxd|strings|base64|cp|vi|nano|sed\s+\S+|awk\s+\S+|grep\s+\S+)\s+(?:-[\w-]+\s+)*|<\s*)",
            r"[\x22'\\]*(?:/etc/(?:passwd|shadow|sudoers|gshadow|master\.passwd)|/proc/(?:self|\d+)/(?:environ|cmdline|mem)|(?:/root|~|/home/\w+)/\.(?:ssh/|bash_history|aws/))",
            r"|\btype\s+[\x22'\\]*(?:c:|%\w+%)[\\/]+(?:windows|winnt|boot\.ini|inetpub)",
        ),
    ),
    // curl http://evil/x.sh | sh
    rule(
        "command-injection/pipe-to-shell",
        concat!(
            r"\b(?:curl|wget|fetch|lynx)\s[^\n;|]*[./:][^\n;|]*\|\s*",
            prefix!(),
            r"(?:(?:ba|z|k|da|c|tc|a)?sh|python[\d.]*|perl|ruby|php|node)\b",
            r"|\b(?:base64\s+(?:-d|-D|--decode)|xxd\s+-r)\b[^\n;|]*\|\s*",
            prefix!(),
            r"(?:(?:ba|z|k|da|c|tc|a)?sh|python[\d.]*|perl)\b",
            r"|\b(?:ba|z|k|da|c)?sh\s+(?:-\w\s+)?[\x22'\\]?(?:<\(|\$\(|`)\s*(?:curl|wget|fetch|echo|base64)\s",
            r"|\b(?:echo|printf)\s+[^\n|]+\|\s*(?:base64\s+-d\s*\|\s*)?",
            prefix!(),
            r"(?:ba|z|k|da|c)?sh\s*(?:$|[\x22'`;&#)-])",
        ),
    ),
    // Download, then run: wget http://evil/x -O /tmp/x; chmod +x /tmp/x.
    rule(
        "command-injection/download-and-run",
        r"\b(?:curl|wget|fetch|tftp)\s[^\n;|&]+(?:;|&&|\|\|)\s*(?:sudo\s+)?(?:chmod\s+[+\w]+|(?:ba|z|da)?sh\s+\S|\./\w|/tmp/\w|python\d?\s+\S+\.py|perl\s+\S)",
    ),
    // A shell started for one command.
    rule(
        "command-injection/shell",
        r"/bin/(?:ba|z|k|da|c|tc|a)?sh\b[\x22',\s\\]{1,8}-[ci]\b|\b(?:ba|z|k|da)?sh\s+-i\s*(?:>|<|&|\d>)|/bin/busybox\s+\w|(?:exec|system|popen)[\s(\x22'\\]+/bin/(?:ba|da|z|k)?sh",
    ),
    // A shell tied to a socket.
    rule(
        "command-injection/reverse-shell",
        concat!(
            r"/dev/(?:tcp|udp)/[\w.$-]+/\d|\bn(?:c|cat|etcat)(?:\.\w+)?\s[^|;&\n]*-\w*[ec]\w*\s+[\x22']?(?:[/\w]*/)?(?:(?:ba|z|da|k)?sh|cmd(?:\.exe)?)\b",
            r"|\bmkfifo\s+/\S+\s*[;&|]|\bsocat\s[^;\n]*\bexec:|-rsocket\b|\buse\s+socket\s*;|\bfsockopen\s*\([^)\n]+\)\s*;\s*(?:exec|shell_exec|system|passthru|proc_open)",
            r"|\bimport\s+(?:socket|os|pty|subprocess)\s*[,;]\s*(?:import\s+)?(?:socket|os|pty|subprocess)[^\n]*(?:connect|spawn|dup2|popen|call|system)\s*\(|\bpty\.spawn\s*\(",
        ),
    ),
    // PowerShell with its payload encoded or its window hidden, and its download cradles.
    rule(
        "command-injection/powershell",
        concat!(
            r"\b(?:powershell|pwsh)(?:\.exe)?\b[^\n;|]*\s[-/](?:e|ec|en|enc|enco\w{0,10})\s+[\x22'\\]?[a-z0-9+/=]{8,}",
            r"|\b(?:powershell|pwsh)(?:\.exe)?\b[^\n;|]*\s[-/](?:w|win\w{0,9})\s+(?:h\w{0,5}|1)\b",
            r"|\b(?:powershell|pwsh)(?:\.exe)?\s[^\n;|]*[-/](?:c|command)\s+[\x22'\\&{(]*\s*(?:iex|iwr|invoke-|whoami|get-|start-|\(?new-object|\$\w)",
            r"|(?:iex[\s(]|invoke-expression)[^\n]*(?:downloadstring|new-object|invoke-webrequest|iwr|irm|frombase64string)",
            r"|net\.webclient\)?\s*\.\s*download(?:string|file|data)\s*\(|(?:iwr\s|[\s(]irm\s|invoke-webrequest)[^\n|]+\|\s*(?:iex|invoke-expression)\b",
        ),
    ),
    // cmd /c, and Windows' own programs that download and run.
    rule(
        "command-injection/windows",
        concat!(
            r"\bcmd(?:\.exe)?\s+/[ckr]\s*[\x22'\\]?\w|\bcertutil(?:\.exe)?\s[^\n]*-(?:urlcache|decode|f\b)|\bbitsadmin(?:\.exe)?\s+/(?:transfer|create|addfile)",
            r"|\bmshta(?:\.exe)?\s+[\x22'\\]?(?:https?:|javascript:|vbscript:)|\bregsvr32(?:\.exe)?\s[^\n]*/i:|\brundll32(?:\.exe)?\s[^\n]*javascript:|\bwmic\s[^\n]*\bprocess\s+call\s+create\b",
        ),
    ),
    // Shellshock (CVE-2014-6271): a function definition with a command behind it.
    rule("command-injection/shellshock", r"\(\)\s*\{\s*:\s*;?\s*\}\s*;\s*[\w/]"),
    // A language's way to the shell, written out in one expression as template injections do.
    rule(
        "command-injection/code-to-shell",
        concat!(
            r"__import__\s*\(\s*\\?['\x22](?:os|subprocess|pty)\\?['\x22]\s*\)\s*\.\s*\w+\s*\(|\bruntime\s*\)?\s*\.?\s*getruntime\s*\(\s*\)\s*\.\s*exec\s*\(",
            r"|require\s*\(\s*\\?['\x22`](?:node:)?child_process\\?['\x22`]\s*\)\s*\.\s*(?:exec|spawn|fork)\w*\s*\(|\bnew\s+processbuilder\s*\([^)]*(?:/bin/|cmd|sh\b|bash)",
            r"|\b(?:system|shell_exec|passthru|popen|proc_open)\s*\(\s*(?:\\?['\x22]\s*(?:cat|ls|id|whoami|uname|curl|wget|nc|bash|sh|ping|rm)\b|\$_(?:get|post|request|cookie))",
        ),
    ),
];
