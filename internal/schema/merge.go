package schema

// MergePatch applies a JSON Merge Patch (RFC 7396) to the text of a document
// and returns the result: members that the patch doesn't name stay byte for
// byte, new ones come last. Both texts must be strict JSON within MaxDepth;
// the error is an *Invalid, whose pointers lead into the text at fault.
func MergePatch(doc, patch []byte) ([]byte, error) {
	for _, text := range [][]byte{doc, patch} {
		if _, err := parse(text, MaxDepth); err != nil {
			return nil, invalidDocument(err.(*fault).Issue)
		}
	}
	return mergePatch(doc, patch), nil
}

// mergePatch is the function of RFC 7396, section 2, on well-formed texts.
// A nil target is an undefined one.
func mergePatch(target, patch []byte) []byte {
	changes, ok := members(patch)
	if !ok {
		return patch
	}
	list, _ := members(target) // anything but an object counts as {}
	at := make(map[string]int, len(list))
	for i, m := range list {
		at[m.name] = i
	}
	for _, change := range changes {
		i, exists := at[change.name]
		switch {
		case string(change.value) == "null" && exists:
			list[i].value = nil
		case string(change.value) == "null":
		case exists:
			list[i].value = mergePatch(list[i].value, change.value)
		default:
			list = append(list, member{change.name, change.quoted, mergePatch(nil, change.value)})
		}
	}
	kept := list[:0]
	for _, m := range list {
		if m.value != nil {
			kept = append(kept, m)
		}
	}
	return writeObject(kept)
}
