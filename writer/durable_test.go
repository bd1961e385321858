package writer_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
)

// commitsSQL keeps, of each transaction that changes an item, the setting with which it commits: a deferred trigger runs right
// before that.
const commitsSQL = `
CREATE TABLE commits (key text, setting text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO commits VALUES (NEW.key, current_setting('synchronous_commit'));
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()`

// TestCommitsAreDurable: a crash must not take back a commit whose version the cache has seen. Stronger settings, and those that
// only concern standbys, are the operator's choice.
func TestCommitsAreDurable(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"off": "on", "on": "on", "local": "local", "remote_write": "remote_write", "remote_apply": "remote_apply",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			v.exec(t, commitsSQL)
			v.db = rig.Pool(t, v.db.Config().ConnString()+"&synchronous_commit="+setting)
			w := v.writer(t)
			for name, do := range everyWay {
				key := v.rows(t, name)[0]
				must(t, onlyError(do(t.Context(), v, w, key, "new")))
				v.written(t, key)
				if got := value[string](t, v, "SELECT setting FROM commits WHERE key = $1", key); got != want {
					t.Errorf("%s commits with synchronous_commit = %s, want %s", name, got, want)
				}
			}
			if got := value[string](t, v, "SHOW synchronous_commit"); got != setting {
				t.Errorf("what the pool does otherwise commits with synchronous_commit = %s, want %s", got, setting)
			}
		})
	}
}
