package ledger

import (
	"bufio"
	"bytes"
	"io"
)

// lines reads a file line by line, however long a line is.
type lines struct {
	r *bufio.Reader
}

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, 64<<10)} }

// next returns the next whole line without its newline; io.EOF at the end, with
// the length of what follows the last newline.
func (l *lines) next() (line []byte, torn int64, err error) {
	line, err = l.r.ReadBytes('\n')
	if err == io.EOF {
		return nil, int64(len(line)), io.EOF
	}
	return bytes.TrimSuffix(line, []byte("\n")), 0, err
}
