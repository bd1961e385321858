package drive

import (
	"errors"
	"fmt"

	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// strictly asks for strict rows, as many.
func (c *client) strictly(n int) query {
	return query{level: history.Strict, keys: c.strict.several(c.rng, n), demand: reader.Strict()}
}

// strict reports whether the transaction writes a strict row.
func (t *transaction) strict() bool {
	for _, op := range t.ops {
		if isStrict(op.Key) {
			return true
		}
	}
	return false
}

// unsettled makes of the error of a write that is committed, and of which strict reads may not know yet, one whose outcome is not known.
func unsettled(err error) error {
	if _, committed := errors.AsType[*writer.UnsettledError](err); committed {
		return fmt.Errorf("%w: %w", writer.ErrUnknown, err)
	}
	return err
}
