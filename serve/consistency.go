package serve

import (
	"net/http"
	"strings"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
)

const (
	tokenHeader       = "Tidelock-Token"
	consistencyHeader = "Tidelock-Consistency"
)

// asked is the consistency of a read.
type asked struct {
	options []reader.Option
	session *reader.Session // nil if no token was sent
}

// consistencyOf reads what a request asks of a read. Whoever sends a token has a session, which goes on in the token of the answer.
func consistencyOf(h http.Header) (a asked, err error) {
	switch level := strings.TrimSpace(h.Get(consistencyHeader)); {
	case level == "" || level == "default":
	case level == "strict":
		a.options = append(a.options, reader.Strict())
	default:
		text, bounded := strings.CutPrefix(level, "within=")
		bound, err := time.ParseDuration(text)
		if !bounded || err != nil || bound <= 0 {
			return a, badHeader.because("%s is %q: want default, within=2s or strict", consistencyHeader, level)
		}
		option, err := reader.Within(bound)
		if err != nil {
			return a, err
		}
		a.options = append(a.options, option)
	}
	if a.session, err = sessionOf(h); a.session != nil {
		a.options = append(a.options, reader.In(a.session))
	}
	return a, err
}

// sessionOf goes on with the session of a token, nil if there is none.
func sessionOf(h http.Header) (*reader.Session, error) {
	text := h.Get(tokenHeader)
	if text == "" {
		return nil, nil
	}
	token, err := cache.ParseToken(text)
	if err != nil {
		return nil, badHeader.because("%s is not a token of ours: hand it on unchanged", tokenHeader)
	}
	return reader.NewSession(token), nil
}

// carry puts into an answer what the next request should bear. A write gives a token also to those who have sent none.
func carry(h http.Header, session *reader.Session, wrote cache.Token) {
	if session != nil {
		session.Wrote(wrote)
		wrote = session.Token()
	}
	if text := wrote.String(); text != "" {
		h.Set(tokenHeader, text)
	}
}
