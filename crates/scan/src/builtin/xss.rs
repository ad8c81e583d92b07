//! Script in markup: elements, handlers and URLs that a browser runs.

use super::{BuiltinRule, rule};

/// Attributes of a tag up to the one of interest; a quoted value may hold `>`.
macro_rules! attributes {
    () => {
        r#"(?:[^<>]|"[^"<]*"|'[^'<]*')*"#
    };
}

/// Names of event-handler attributes, behind the `on`.
macro_rules! events {
    () => {
        concat!(
            "(?:abort|after(?:print|scriptexecute)|animation[a-z]+|auxclick|before[a-z]+|begin|blur|bounce|cancel|",
            "canplay(?:through)?|change|click|close|contentvisibility[a-z]+|contextmenu|copy|cuechange|cut|dblclick|",
            "drag[a-z]*|drop|durationchange|emptied|end(?:ed)?|error|finish|focus(?:in|out)?|formdata|fullscreen[a-z]+|",
            "gesture[a-z]+|(?:got|lost)pointercapture|hashchange|input|invalid|key(?:down|press|up)|",
            "load(?:ed(?:data|metadata)|end|start)?|message(?:error)?|mouse[a-z]+|offline|online|page(?:hide|show|swap|reveal)|",
            "paste|pause|play(?:ing)?|pointer[a-z]+|popstate|progress|ratechange|readystatechange|repeat|reset|resize|",
            "scroll(?:end|snap[a-z]+)?|search|securitypolicyviolation|seek(?:ed|ing)|select(?:ionchange|start)?|show|",
            "slotchange|stalled|start|storage|submit|suspend|timeupdate|toggle|touch[a-z]+|transition[a-z]+|",
            "unhandledrejection|unload|volumechange|waiting|webkit[a-z]+|wheel)",
        )
    };
}

pub(super) const RULES: &[BuiltinRule] = &[
    // The plain case; browsers allow a namespace, a slash or control characters around the name.
    rule("xss/script-element", r"<[\s\x00]*(?:[a-z]+:)?script(?:[/>\x00\s]|$)"),
    // A handler in a tag runs without a script element: <img src=x onerror=alert(1)>.
    rule(
        "xss/event-handler",
        concat!(r"<[a-z]", attributes!(), r#"[\s/"'\x00]on"#, events!(), r"[\s\x00]*="),
    ),
    // Handlers that this list does not know, told by the call in their value.
    rule(
        "xss/event-handler-call",
        concat!(r"<[a-z]", attributes!(), r#"[\s/"'\x00]on[a-z]{3,32}\s*=\s*["'`\\]*[\w.$\[\]]+\s*[(`]"#),
    ),
    // Breaking out of an attribute's quotes needs no tag: " onfocus=alert(1) autofocus x=".
    rule(
        "xss/attribute-breakout",
        concat!(
            r#"["'`](?:[^<>"'`\n]{0,48}[\s/])?on"#,
            events!(),
            r#"\s*=\s*["'`\\]*[\w.$\[\]:;\s]*(?:[\w\]]\s*[(`]|location\s*=|document\.)"#,
        ),
    ),
    // A script URL where a URL is an attribute's value; control characters within are ignored by browsers.
    rule(
        "xss/script-url-attribute",
        concat!(
            r"\b(?:href|src|action|data|poster|background|codebase|from|to|values|content|url|dynsrc|lowsrc|folder)",
            r#"\s*=[\s"'`\\\x00-\x20]*(?:\d+;\s*url\s*=\s*)?"#,
            r"(?:j\s*a\s*v\s*a|v\s*b|l\s*i\s*v\s*e)\s*s\s*c\s*r\s*i\s*p\s*t\s*(?::|&colon;|&\#)",
        ),
    ),
    // A script URL as a JSON value or a Markdown link, told from a title by the call without a space.
    rule("xss/script-url-call", r#"(?:^|["'`=(\s])(?:java|vb)script:[^\s"<>]*?[(`=]"#),
    // A document of the attacker's own in the page, or a page re-based or refreshed to one.
    rule(
        "xss/embedded-document",
        concat!(
            r"<(?:i?frame|object|embed|applet|portal|fencedframe|base|meta|link|frameset)[\s/]",
            attributes!(),
            r"\b(?:src|srcdoc|data|href|code|http-equiv)\s*=",
        ),
    ),
    // Markup inside srcdoc is a document that runs.
    rule("xss/srcdoc", r#"\bsrcdoc\s*=[\s"'`\\]*(?:<|&lt;|&#)"#),
    // SVG animation that writes a handler or a link.
    rule(
        "xss/svg-animation",
        r#"<(?:animate|set|animatetransform|animatemotion)[\s/][^<>]*attributename\s*=\s*["'\\]*(?:on[a-z]+|(?:xlink:)?href)"#,
    ),
    // SVG and MathML pull in documents by reference.
    rule(
        "xss/svg-reference",
        r#"<(?:use|image|feimage|maction|math)[\s/][^<>]*href\s*=[\s"'\\]*(?:data:|j\s*a\s*v\s*a|//|https?:[^\s"'>]*\.svg)"#,
    ),
    // A data URL that a browser renders or runs.
    rule(
        "xss/data-url",
        r"\bdata\s*:\s*(?:text/html|text/xml|application/xhtml\+xml|(?:text|application)/(?:x-)?(?:java|ecma)script)[;,]",
    ),
    // An SVG data URL in a place that gives it a document.
    rule(
        "xss/data-url-svg",
        r#"(?:data|src|href|location)\s*=[\s"'\\]*data\s*:\s*image/svg\+xml[^>]*,[^>]*(?:<|%3c)(?:script|svg[^>]*\son)"#,
    ),
    // Reading the cookies into a call, a URL or a string that leaves the page.
    rule(
        "xss/cookie-exfiltration",
        concat!(
            r"(?:\b(?:alert|prompt|confirm|fetch|open|eval|write(?:ln)?|btoa|escape|encodeuri(?:component)?|sendbeacon|",
            r"assign|send|log|append)\s*\(\s*|[+,]\s*|\$\{\s*|location(?:\.href)?\s*=\s*|\.src\s*=\s*)",
            r"(?:\w+\s*\(\s*)?(?:(?:window|self|top|parent|this)\s*\.\s*)?document\s*(?:\.\s*(?:cookie|domain)|\[\s*.cookie)",
        ),
    ),
    // document['cookie'] has no use but to hide from filters.
    rule("xss/cookie-obfuscated", r#"\bdocument\s*\[\s*(?:["'`\\]+c|atob|string)[^\]]{0,40}\]"#),
    // Code made from an encoded string or taken out of the URL.
    rule(
        "xss/encoded-code",
        concat!(
            r"\b(?:eval|settimeout|setinterval|function|execscript)\s*\(\s*(?:window\.|self\.|top\.)?",
            r"(?:atob|unescape|decodeuri(?:component)?|string\.fromcharcode|location\b|name\s*\)|document\.|['\x22][^'\x22]*['\x22]\s*(?:\+|\)\s*\()|['\x22](?:alert|prompt|confirm|eval)\()",
        ),
    ),
    // A string spelled as character codes, to hide its words.
    rule("xss/character-codes", r"\bfromcharcode\s*\(\s*(?:0x[\da-f]+|\d+)(?:\s*,\s*(?:0x[\da-f]+|\d+)){2,}"),
    // Global functions by computed name: window['al'+'ert'](1).
    rule(
        "xss/computed-call",
        r#"\b(?:window|self|top|parent|frames|globalthis|this)\s*\[\s*["'`/][^\]]{1,64}\]\s*(?:\(|`)"#,
    ),
    // The Function constructor by way of any object: sandbox escapes of templates, JSFuck.
    rule(
        "xss/function-constructor",
        r#"constructor\s*(?:\.\s*|\[\s*["'`])constructor["'`\]\s]*\(|\]\s*\[\s*["'`](?:filter|map|find|sort|constructor)["'`]\s*\]\s*(?:\[|\.constructor)|\{\{[^}]*constructor[^}]*\(|\$\{\s*(?:alert|prompt|confirm|eval)\s*\("#,
    ),
    // Breaking out of a JavaScript string: ';alert(1)//  '-alert(1)-'
    rule(
        "xss/string-breakout",
        concat!(
            r#"["'`]\s*[;})\]]*\s*(?:;|\}|%0a|\n)\s*(?:alert|prompt|confirm|eval|fetch|import)\s*[(`][^()`]*(?:\([^()]*\))?[)`]\s*;?\s*(?://|<!--|/\*|\{)|["'`];(?:alert|prompt|confirm|eval)\([^()]*\);?["'`]"#,
            r#"|["'`]\s*(?:[-*^|&%/]|\|\||&&|\?\?)\s*(?:alert|prompt|confirm|eval)\s*[(`][^()`]*[)`]\s*(?:[-*^|&%/]|//|\|\||&&)"#,
            r#"|["'`]\s*\+\s*(?:alert|confirm|eval)\s*[(`][^()`]*[)`]\s*\+\s*["'`]"#,
        ),
    ),
    // Writing markup into the page from script.
    rule("xss/document-write", r#"\bdocument\s*\.\s*write(?:ln)?\s*\(\s*["'`\\]*(?:<|\\x3c|\\u003c|%3c)"#),
    // Code imported or fetched from elsewhere and run.
    rule(
        "xss/remote-code",
        r#"\b(?:import|importscripts|\$\.getscript)\s*\(\s*["'`\\]+(?:https?:)?//|\beval\s*\(\s*await\s+"#,
    ),
    // Code in style sheets, as old browsers ran it.
    rule(
        "xss/style-code",
        r"<[^<>]*\bstyle\b[^<]*(?:expression\s*\(|-moz-binding\s*:|behaviou?r\s*:\s*url|url\s*\([^)]{0,8}javascript:)",
    ),
    // <style>@import'//evil'</style> and its likes.
    rule(
        "xss/style-import",
        r#"<style[^>]*>[^<]{0,64}@import\s*(?:url\s*\()?\s*["'\\]*(?:https?:|//|data:|javascript:)"#,
    ),
    // XML processing instructions that pull in a style sheet with script.
    rule("xss/xml-stylesheet", r#"<\?xml-stylesheet[^>]*href\s*=[\s"'\\]*(?:javascript:|data:|https?:|//)"#),
];
