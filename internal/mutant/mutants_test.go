package mutant

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutants names each rule that can be switched off, the package whose suite must notice, and the test that does. The same
// tests run with the rule in place in the ordinary suite, where they must pass.
var mutants = []struct{ rule, pkg, test string }{
	{"version-compare", "cache", "TestApplyOntoValue"},
	{"token-on-fill", "cache", "TestFill"},
	{"fill-onto-nothing", "cache", "TestFill"},
	{"allocate-without-ticket", "cache", "TestApplyOntoNothing"},
	{"raise-bound", "cache", "TestApplyOntoPlaceholder"},
	{"bound-on-replace", "cache", "TestApplyOntoPlaceholder"},
	{"invalidate-keeps-bound", "cache", "TestInvalidate"},
	{"foreign-is-nothing", "cache", "TestApplyOntoForeign"},
	{"ticket-keeps-bound", "cache", "TestTicketKeepsPlaceholder"},
	{"drop-on-oom", "cache", "TestNoMemory"},
	{"drop-on-reject", "cache", "TestWrongType"},
	{"reply-links", "cache", "TestReplyNamesNoServerThatDidNotGiveIt"},
	{"settle-on-replica", "cache", "TestReplica"},
	{"breaker-half-open", "cache", "TestStartsBeforeServer"},
	{"version-after-lock", "outbox", "TestVersionOrderIsCommitOrder"},
	{"sorted-locks", "outbox", "TestOverlappingKeysDoNotDeadlock"},
	{"floor-by-xid", "outbox", "TestOpenTransactionHoldsTheFloor"},
	{"floor-below-pending", "outbox", "TestPendingRecordHoldsTheFloor"},
	{"part-looked-at-when-ours", "outbox", "TestRotateLeavesUncommittedRecords"},
	{"durable-commit", "writer", "TestCommitsAreDurable"},
	{"record-in-transaction", "writer", "TestRecordAndRowCommitTogether"},
	{"refresh-after-lock", "writer", "TestRefreshSeesTheOtherRows"},
	{"check-before-allocate", "writer", "TestNoZombie"},
	{"retire-after-settled", "writer", "TestNotRetiredUntilSettled"},
	{"apply-only-committed", "writer", "TestApplyOfWhatIsNotCommitted"},
	{"unknown-commit", "writer", "TestCommitOfUnknownOutcome"},
	{"ticket-before-load", "reader", "TestNoZombie"},
	{"version-before-row", "reader", "TestContentNeverGoesBack"},
	{"exact-label", "reader", "TestContentNeverGoesBack"},
	{"share-only-later", "reader", "TestLoadBeginsAfterItsCallersAsked"},
	{"session-seen", "reader", "TestSessionDoesNotGoBack"},
	{"at-least", "reader", "TestAtLeastSeesDeferredWrite"},
	{"relay-ticket-before-read", "relay", "TestPausedRelayInstallsNothingOld"},
	{"relay-check-before-allocate", "relay", "TestPausedRelayInstallsNothingOld"},
	{"relay-skip-superseded", "relay", "TestLateChunk"},
	{"relay-retire-after-settled", "relay", "TestForbiddenKey"},
	{"horizon-by-xmin", "relay", "TestWhatIsNotSettledHoldsTheHorizon"},
	{"horizon-below-pending", "relay", "TestWhatIsNotSettledHoldsTheHorizon"},
	{"horizon-still-least", "outbox", "TestHorizonIsTheLeast"},
	{"horizon-below-mark", "outbox", "TestXidsThatComeBack"},
	{"canary-ahead", "relay", "TestStrangeCanary"},
	{"superseded-waits", "outbox", "TestTakeKeepsTheNewestOfEachKey"},
	{"within-proven", "reader", "TestWithin"},
	{"run-id-compared", "reader", "TestWithinOnAnotherServer"},
	{"strict-settled", "reader", "TestStrictSettles"},
	{"fill-awaited", "reader", "TestStrictLoadIsSettled"},
	{"lease-before-answer", "reader", "TestStrictAnswerAfterTrust"},
	{"lease-after-answer", "reader", "TestStrictAnswerBeforeTrust"},
	{"near-leased", "reader", "TestNearIsNotForStrictReads"},
	{"strict-declared", "outbox", "TestStrictIsSeenThroughOldSnapshots"},
	{"strict-ended", "outbox", "TestStrictAwaitsWhoOverlooksIt"},
	{"replica-distrusted", "relay", "TestDemotedServerIsNotTrusted"},
	{"trust-in-order", "outbox", "TestTrustIsWrittenInOrder"},
	{"office-lapses", "lease", "TestNobodyBelievesTheOther"},
	{"silence-waits", "lease", "TestNobodyBelievesTheOther"},
	{"vouch-settled", "lease", "TestNobodyBelievesTheOther"},
	{"proof-by-version", "lease", "TestProof"},
	{"new-guardian-waits", "lease", "TestNobodyBelievesTheOther"},
	{"suspending-waits", "lease", "TestNobodyBelievesTheOther"},
	{"resuming-waits", "lease", "TestNobodyBelievesTheOther"},
	{"office-ends", "lease", "TestNobodyBelievesTheOther"},
	{"canary-by-identity", "cache", "TestCanaryNamesItsServer"},
	{"attached-old-keys", "outbox", "TestAttachedTableRecordsWhoeverWrites"},
	{"attached-truncate-sees-all", "outbox", "TestTruncateOfWhatCannotBeSeen"},
	{"attached-again", "outbox", "TestRowThatChangesAgainIsInvalidated"},
	{"retire-on-record", "outbox", "TestSettledOnRecord"},
	{"repair-after-loss", "relay", "TestOldSnapshot"},
	{"repair-of-one-doubt", "outbox", "TestRepairOfAFormerLife"},
	{"safe-version-by-xid", "outbox", "TestSafeVersionWaits"},
	{"drop-newer", "outbox", "TestMoved"},
	{"sequence-jump", "outbox", "TestMoved"},
	{"retire-by-key", "outbox", "TestSettledOnRecord"},
	{"relay-recall-lost", "relay", "TestRelayRecalls"},
	{"recall-lost", "writer", "TestRecallOfWhatPostgresHasLost"},
	{"one-key-a-row", "serve", "TestTwoRowsHaveTwoKeys"},
	{"one-spelling", "serve", "TestOneRowHasOneKey"},
	{"one-put-a-version", "serve", "TestNoTwoWritesShareAVersion"},
	{"version-under-lock", "serve", "TestAVersionIsCheckedUnderTheLock"},
	{"value-read-again", "verify", "TestMendedMeanwhile"},
	{"value-nothing-waits", "verify", "TestValueThatWaits"},
	{"value-one-snapshot", "verify", "TestRowOfAnotherMoment"},
}

// killTime bounds one run of a killing test.
const killTime = 90 * time.Second

// killTries is how often a test may pass without the rule: some build a race with real servers and real time, which a busy machine may take from under them.
const killTries = 3

// killed runs a test without a rule.
func killed(t *testing.T, binary, pkg, rule, test string) (out []byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), killTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^"+test+"$")
	cmd.Dir = filepath.Join("..", "..", pkg)
	cmd.Env = append(os.Environ(), "TIDELOCK_MUTANT="+rule)
	return cmd.CombinedOutput()
}

func TestEveryRuleHasATestThatFailsWithoutIt(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the suites a second time")
	}
	dir := t.TempDir()
	binaries := make(map[string]string)
	for _, m := range mutants {
		if binaries[m.pkg] == "" {
			binaries[m.pkg] = build(t, dir, m.pkg)
		}
	}
	for _, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			t.Parallel()
			out, err := killed(t, binaries[m.pkg], m.pkg, m.rule, m.test)
			for range killTries - 1 {
				if err != nil {
					break
				}
				out, err = killed(t, binaries[m.pkg], m.pkg, m.rule, m.test)
			}
			if err == nil {
				t.Fatalf("%s passes without the rule %q: it does not pin it", m.test, m.rule)
			}
			if !strings.Contains(string(out), "--- FAIL: "+strings.Split(m.test, "/")[0]) {
				t.Fatalf("%s ended in another way than by failing: %v\n%s", m.test, err, out)
			}
		})
	}
}

// TestEveryRuleIsListed finds the rules in the sources and holds them against the table.
func TestEveryRuleIsListed(t *testing.T) {
	listed := make(map[string]bool)
	for _, m := range mutants {
		listed[m.rule] = true
	}
	found := make(map[string]bool)
	for _, pkg := range []string{"cache", "lease", "outbox", "reader", "relay", "serve", "serve/entity", "verify", "writer"} {
		files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no sources of %s: %v", pkg, err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			calls := []string{`mutant.On("`, `mutant.Text("`}
			if filepath.Base(file) == "mutants.go" { // a table of them
				calls = append(calls, `{"`)
			}
			for _, call := range calls {
				for _, rest := range strings.Split(string(source), call)[1:] {
					rule, _, _ := strings.Cut(rest, `"`)
					found[rule] = true
				}
			}
		}
	}
	for rule := range found {
		if !listed[rule] {
			t.Errorf("the rule %q can be switched off, and no test is named that notices", rule)
		}
	}
	for rule := range listed {
		if !found[rule] {
			t.Errorf("the rule %q is listed and stands nowhere in the sources", rule)
		}
	}
}

func build(t *testing.T, dir, pkg string) string {
	t.Helper()
	out := filepath.Join(dir, pkg+".test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags", "mutants", "-c", "-o", out, "./"+pkg)
	cmd.Dir = filepath.Join("..", "..")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the suite of %s with mutants: %v\n%s", pkg, err, text)
	}
	return out
}
