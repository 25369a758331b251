package store

import (
	"errors"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// The forms of names and ids. They are plaintext on disk and in logs: no
// personal data belongs there.
var (
	nameForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	labelForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)
)

const (
	maxRecordID   = 128
	maxLabels     = 32
	maxLabelValue = 256
	maxText       = 1024
)

// checkName refuses what is not the name of a thing of this kind.
func checkName(kind, name string) error {
	if nameForm.MatchString(name) {
		return nil
	}
	return invalid("", "the name of "+article(kind)+" has 1 to 63 characters a-z, 0-9 and -, and does not begin with -")
}

func article(kind string) string {
	if kind[0] == 'i' {
		return "an " + kind
	}
	return "a " + kind
}

// checkRecordID refuses what is not [A-Za-z0-9_-]{1,128}.
func checkRecordID(pointer, id string) error {
	ok := len(id) > 0 && len(id) <= maxRecordID
	for i := 0; ok && i < len(id); i++ {
		ok = idCharacter(id[i])
	}
	if !ok {
		return invalid(pointer, "a record id has 1 to 128 characters A-Z, a-z, 0-9, _ and -")
	}
	return nil
}

func idCharacter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// checkLabels refuses labels that cannot be kept.
func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return invalid("/labels", "a record has at most "+strconv.Itoa(maxLabels)+" labels")
	}
	for key, value := range labels {
		if !labelForm.MatchString(key) {
			return invalid("/labels", "a label's name has 1 to 63 characters a-z, 0-9, _, . and -, and begins with a letter or digit")
		}
		if err := checkLabelValue("/labels/"+key, value); err != nil {
			return err
		}
	}
	return nil
}

func checkLabelValue(pointer, value string) error {
	if len(value) > maxLabelValue || !printable(value) {
		return invalid(pointer, "a label's value has at most "+strconv.Itoa(maxLabelValue)+" bytes of UTF-8 and no control characters")
	}
	return nil
}

func checkText(pointer, text string) error {
	if len(text) > maxText || !printable(text) {
		return invalid(pointer, "a text has at most "+strconv.Itoa(maxText)+" bytes of UTF-8 and no control characters")
	}
	return nil
}

func printable(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return true
}

// firstInvalid returns the first *Invalid of joined errors.
func firstInvalid(err error) error {
	var bad *Invalid
	if errors.As(err, &bad) {
		return bad
	}
	return err
}
