// Package judge gives the verdict over a chaos run: it holds every operation, and what Postgres and the cache held in the end,
// against what was promised. It gets data and opens no connections.
//
// N, the counter in every row, is what the judge goes by: the rows of one key are committed in its order, so whoever
// saw N = 5 saw less than whoever saw N = 6, with Tidelock and without. An operation precedes another one if it ended before that
// one began; operations that overlap may have taken effect either way round.
//
// What an unknown write did is for the reads to tell. It may take effect at any time after its begin, once or never. Nothing that could
// have come about in this way is a violation. So the judge errs, if at all, to the side of the accused:
//
//   - A read of an absent row bears no N. It counts as any delete that may have been current.
//   - A write whose N nobody saw counts as the lowest that it can be.
//   - Several Puts of one key that shared a transaction have one version, and only the last of them was ever to be seen.
//
// It takes for granted that all writes to the keys are in the history, from the first on, and that versions are not pruned during
// the run, unless it is told so: then it does not go by what the labels of reads say of writes.
package judge
