/* Strict reads and writes: one key, leases in the sense of Gray and Cheriton, a guardian that crashes and is replaced, and
   a cache that loses data. protocol.pml has the rules of the entry and repair.pml those of the repair; both hold here too.

   Modelled
   - A strict writer with WRITES writes, one after the other, and READERS strict readers with READS reads each. Whoever is
     never acknowledged stands for the writers and readers that are not strict.
   - Two servers. The second comes to be as a copy of the first, entry, tokens and canary, at any moment: a replica that is
     promoted and lagged since then, or a restart from a snapshot of then. The first goes on answering whoever is connected
     to it, for ever: any command of anybody may go to either. With a loss the run id changes; it is the server's number.
   - Relays bring any committed version to any server, at any time, any number of times; entries are evicted at any time.
     A record is retired in the step that settles it on the server on record, and is in the canary at once: both are as
     early as they may be, and no moment is worse.
   - LOADER=1: a loader that is not strict, whose fill comes as late as it likes.
   - GUARDIANS guardians. Any of them takes the office at any moment, while the other knows or does not, and begins anew
     with it, which is a crash, too. Its statements are fenced by the term. Every step may be delayed for ever. ONCE=1: only
     one new term, of the second guardian. CRASHES=0: none.
   - Time is in the order of steps: whoever waits until leases have run out waits until nobody has one, and whoever has one
     may lose it at any moment before. So a lease ends at its holder before others believe it to have ended: this is what
     counting from before the question, and the bound of the drift, are for. A lease is held from the moment it is granted:
     an answer that is lost, or comes late, is a lease that its holder does not use.
   - The row in Postgres says "suspended" from when the guardian writes it down until it writes that it resumes. Whoever
     reads it there has a suspension lease, and so has who finds the row unchanged for long enough (S7). Nobody knows of
     these leases: before it drains a guardian waits for those of before it wrote that it resumes, and for no others.
   - The guardian is asked to settle a version, and vouches for it. The call ends in that step: a late answer is no worse,
     for what is acknowledged late binds fewer reads. That it does not answer, or distrusts, is always possible.

   Not modelled: several keys, several servers of one cache, the canary's horizon and its fences (repair.pml has them),
   Postgres that loses commits (pgfailover.pml) or goes on answering beside its successor, a server that takes over another's
   data under its old run id: leases name what does not survive a loss of data, and where a run id does, they must name more
   than that.

   Property
   linear   a read returns no version lower than one that was acknowledged, or returned by a read that had ended, before it
            began. With one writer this is what linearizable means.

   Rules
   S1  A hit is served if the server that answered is named by a trust lease that was held before it was asked, and by one
       that is held after its answer.
   S2  A write is acknowledged, and what was read from Postgres is returned, if the version is settled on a server that is
       named by a trust lease held after the commit, or the read; or if it is known then that nobody believes the cache; or
       if the guardian vouches for it after. A load is shared only by calls that began before it read.
   S3  Whoever trusts is waited for: "suspended" is not said, and no other server is trusted, while a trust lease lives.
   S4  A new guardian waits until its predecessor counts the office as its own no longer, and its leases have run out. One
       whose time has passed before it keeps its office distrusts, and goes on with the same term. What a guardian writes
       down is fenced by its term; and what it has given up writing, by what it writes after.
   S5  Before a server is trusted again the suspension leases have run out, what is in doubt is repaired, and every version
       that was committed until they had run out is settled on it. It is the one that was on record when resuming began,
       and still is. A record that is superseded waits for the newer one to be settled: were it deleted before, nothing
       would tell that the cache is still older than both.
   S6  A guardian vouches for a version while its office is its own: in Suspended and Resuming for every one, since nobody
       trusts and what is committed by then will be drained; in Draining and Trusted for what is settled on the server that
       its leases name, or are to name; in Suspending for none.
   S7  If the office's row has not changed for as long as a guardian may believe on the strength of it, or of what it sent
       meanwhile to keep it, and the length of a lease after, then nobody trusts at the time of the last look. That may be
       believed for the length of a lease, for whoever is guardian next waits as long in Resuming.

   Each mutant, -DM_..., is the design without one rule. The file runs has the list, with those that turn out to hold:
   S2-lease-before-apply  the lease need not be valid still after the reply: whoever held it after the commit committed before
                          the trust ended, so the draining before the next trust waits for that version
   S4-register-term       anybody may put a server on record at any time: nothing is trusted for it, and it is repaired */

#ifndef WRITES
#define WRITES 1
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef READS
#define READS 1
#endif
#ifndef GUARDIANS
#define GUARDIANS 1
#endif
#ifndef LOADER
#define LOADER 0
#endif
#ifndef TICKETS                  /* without them what is gone from the cache stays away */
#define TICKETS LOADER
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef ONCE
#define ONCE 0
#endif

#define BIT(i) (1 << (i))

/* --- Postgres --------------------------------------------------------------------------------- */

byte db = 0;                     /* the latest committed version */
byte waits = 0;                  /* the lowest version whose record waits, 0 for none */
byte rec = 1;                    /* the server on record */
bool doubt = false;              /* it may lack something */
byte term = 1;                   /* the guardian whose term it is */
bool down = false;               /* the row says that the cache is suspended */

/* --- the servers ------------------------------------------------------------------------------ */

#define ABSENT 0
#define PLACE  1
#define VALUE  2

byte servers = 1;
byte kind[3], ver[3];            /* a value's version, or a placeholder's bound */
byte good[3];                    /* whose ticket is of the placeholder that is there, as a set */
byte sure = BIT(1);              /* the servers whose canary says that nothing is missing up to db, as a set */

/* --- leases ----------------------------------------------------------------------------------- */

/* What a client holds: nothing, a trust lease that names server 1 or 2, or a suspension lease: an old one is of before a
   guardian wrote that it resumes. Client 0 is the writer. */
#define NONE 0
#define SUSP 3
#define OLD  4
byte lease[READERS + 1];

#define IS_TRUST(l) ((l) == 1 || (l) == 2)
#if READERS == 2
#define ANY_TRUST (IS_TRUST(lease[0]) || IS_TRUST(lease[1]) || IS_TRUST(lease[2]))
#define ANY_OLD   (lease[0] == OLD || lease[1] == OLD || lease[2] == OLD)
#else
#define ANY_TRUST (IS_TRUST(lease[0]) || IS_TRUST(lease[1]))
#define ANY_OLD   (lease[0] == OLD || lease[1] == OLD)
#endif

/* The guardians that count their office as their own, as a set; also between the end of what they know to have kept and the
   answer to a statement that they sent before, and that keeps it. */
byte believes = BIT(1);

#define SUSPENSION_HELD(c) (lease[c] >= SUSP)

byte done = 0;                   /* the clients that have nothing more to do, as a set */
byte high = 0;                   /* the highest version acknowledged, or returned by a read that has ended */

/* --- the entry -------------------------------------------------------------------------------- */

/* Records up to version v are retired. */
inline retire(v) {
  if
  :: waits != 0 && waits <= v -> waits = (v == db -> 0 : v + 1)
  :: else
  fi;
  if
  :: waits == 0 && !doubt -> sure = sure | BIT(rec)
  :: else
  fi
}

inline raise(s, v) {
  if
  :: kind[s] != ABSENT && ver[s] < v -> ver[s] = v
  :: else
  fi
}

inline clear(s) { kind[s] = ABSENT; ver[s] = 0; good[s] = 0 }

#if TICKETS
inline invalidate(s, v) {
  if
  :: kind[s] == VALUE && ver[s] < v -> kind[s] = PLACE; ver[s] = v; good[s] = 0
  :: else -> raise(s, v)
  fi
}
#else
inline invalidate(s, v) {
  if
  :: kind[s] == VALUE && ver[s] < v -> clear(s)
  :: else
  fi
}
#endif

/* A writer's or relay's apply: onto nothing it stores nothing. */
inline apply(s, v) {
  raise(s, v);
  if
  :: s == rec -> retire(v)
  :: else
  fi
}

/* A guardian's, for somebody who asks. */
inline settle(s, v) {
  invalidate(s, v);
  if
  :: s == rec -> retire(v)
  :: else
  fi
}

/* A loader's: what is refused raises the bound. */
inline fill(s, v, who) {
  raise(s, v);
  if
  :: kind[s] == PLACE && (good[s] & BIT(who)) && ver[s] <= v -> kind[s] = VALUE; ver[s] = v; good[s] = 0
  :: else
  fi
}

#if TICKETS
inline ticket(s, who) {
  if
  :: kind[s] == ABSENT -> kind[s] = PLACE; ver[s] = 0; good[s] = BIT(who)
  :: kind[s] == PLACE -> good[s] = good[s] | BIT(who)
  :: else
  fi
}
inline forget(who) { good[1] = good[1] & ~BIT(who); good[2] = good[2] & ~BIT(who) }
#else
inline ticket(s, who) { skip }
inline forget(who) { skip }
#endif

/* --- the clients ------------------------------------------------------------------------------ */

#define IDLE  0
#define ASKED 1                  /* a call that has begun */
#define TOLD  2                  /* a read whose cache has answered */
#define KNOWS 3                  /* Postgres has committed, or answered: the version is to be settled */
byte at[READERS + 1];
byte got[READERS + 1];           /* the version */
byte held[READERS + 1];          /* a trust lease that was held earlier in the call */
byte left[READERS + 1] = READS;  /* reads to come */
byte floor[READERS + 1];         /* what the read must not be older than */

#define TRUST_HELD(c) (IS_TRUST(lease[c]) -> lease[c] : NONE)

/* S2. The version is settled on server s in the very step in which the lease is looked at: to settle it earlier, too, is
   a relay's delivery. */
#ifdef M_SETTLED_ANYWHERE
#define ENDS_AT(c, s) IS_TRUST(lease[c])
#elif defined(M_LEASE_BEFORE_APPLY) || defined(M_LEASE_BEFORE_COMMIT)
#define ENDS_AT(c, s) (held[c] == s)
#else
#define ENDS_AT(c, s) (lease[c] == s)
#endif

/* What a call remembers once Postgres has committed, or answered. */
#if defined(M_LEASE_BEFORE_APPLY)
inline note(c) { held[c] = TRUST_HELD(c) }
#elif defined(M_LEASE_BEFORE_COMMIT)
inline note(c) { skip }
#else
inline note(c) { held[c] = NONE }
#endif

inline over(c, last) {
  high = (got[c] > high -> got[c] : high);
  at[c] = IDLE; got[c] = 0; held[c] = NONE;
  done = (last -> done | BIT(c) : done); lease[c] = (last -> NONE : lease[c])
}

inline acknowledged() { over(0, db == WRITES) }

inline returned(c) {
  assert(got[c] >= floor[c]); /* linear */
  floor[c] = 0; forget(c); over(c, left[c] == 0)
}

inline acknowledge(s) {
  d_step { at[0] == KNOWS && servers >= s && ENDS_AT(0, s) -> apply(s, got[0]); acknowledged() }
}

proctype writer() {
end:
  do
#ifdef M_LEASE_BEFORE_COMMIT
  :: d_step { at[0] == IDLE && db < WRITES -> held[0] = TRUST_HELD(0); at[0] = ASKED }
#endif
  :: d_step {
#ifdef M_LEASE_BEFORE_COMMIT
       at[0] == ASKED ->
#else
       at[0] == IDLE && db < WRITES ->
#endif
       db++; sure = 0; at[0] = KNOWS; got[0] = db;
#ifdef M_SUPERSEDED_RETIRED
       waits = db;
#else
       waits = (waits == 0 -> db : waits);
#endif
       note(0)
     }
  :: acknowledge(1)
  :: acknowledge(2)
  :: d_step { at[0] == KNOWS && SUSPENSION_HELD(0) -> acknowledged() }
  od
}

/* S1. The server that answered is named by a lease that is held before, so that the answer is not too old, and by one that
   is held after, so that it is not too new: what it shows is shown, or drained, wherever anybody believes afterwards. That a
   lease is held when the call begins is no more than that it is held before the answer: a call that gets one later might as
   well have begun then. */
#ifdef M_RUN_ID
#define NAMES(l, s) IS_TRUST(l)
#else
#define NAMES(l, s) (l == s)
#endif
#ifdef M_LEASE_AFTER_ANSWER
#define BEFORE(c, s) true
#else
#define BEFORE(c, s) NAMES(held[c], s)
#endif
#ifdef M_LEASE_BEFORE_ANSWER
#define AFTER(c) true
#else
#define AFTER(c) NAMES(lease[c], held[c])
#endif

inline answer(c, s) {
  d_step { at[c] == ASKED && kind[s] == VALUE && BEFORE(c, s) -> got[c] = ver[s]; held[c] = s; at[c] = TOLD }
}

inline load(c, s) {
  d_step { (at[c] == ASKED || at[c] == TOLD) && servers >= s -> ticket(s, c); got[c] = db; at[c] = KNOWS; note(c) }
}

inline fill_awaited(c, s) {
  d_step { at[c] == KNOWS && servers >= s && ENDS_AT(c, s) -> fill(s, got[c], c); returned(c) }
}

/* Readers with one read each are alike: let the first be the one that begins first. */
#if READERS > 1 && READS == 1
#define TURN(c) (c == 1 || at[1] != IDLE || (done & BIT(1)))
#else
#define TURN(c) true
#endif

inline begin(c) {
  d_step { at[c] == IDLE && left[c] > 0 && TURN(c) -> left[c]--; floor[c] = high; at[c] = ASKED; held[c] = TRUST_HELD(c) }
}

proctype reader(byte me) {
end:
  do
  :: begin(me)
  :: answer(me, 1)
  :: answer(me, 2)
  :: d_step { at[me] == TOLD && AFTER(me) -> returned(me) }
  :: load(me, 1) /* for want of a hit, or of a lease */
#if TICKETS
  :: load(me, 2)
#endif
#ifdef M_SHARED_LOAD
  :: d_step { at[me] == ASKED && at[3 - me] == KNOWS -> got[me] = got[3 - me]; at[me] = KNOWS; held[me] = NONE }
#endif
  :: fill_awaited(me, 1)
  :: fill_awaited(me, 2)
#ifdef M_FILL_NOT_AWAITED
  :: d_step { at[me] == KNOWS && IS_TRUST(lease[me]) -> returned(me) }
#endif
  :: d_step { at[me] == KNOWS && SUSPENSION_HELD(me) -> returned(me) }
  od
}

/* --- what happens in the world ---------------------------------------------------------------- */

inline deliver(s, v) { d_step { db >= v && servers >= s -> apply(s, v) } }

/* Postgres is asked for the row: it says "suspended", or it is silent (S7). */
#if defined(M_SILENCE_LEASES)
#define SILENT (believes == 0)
#elif defined(M_SILENCE_KEEPS)
#define SILENT (!ANY_TRUST)
#else
#define SILENT (believes == 0 && !ANY_TRUST)
#endif
inline read_row(c) { d_step { (down || SILENT) && lease[c] < SUSP && !(done & BIT(c)) -> lease[c] = SUSP } }
inline expire(c) { d_step { lease[c] != NONE -> lease[c] = NONE } }

#define LATE 3
byte loaded = 0;                 /* what the loader has read, plus one */

inline load_late(s) { d_step { loaded == 0 && servers >= s && kind[s] != VALUE -> ticket(s, LATE); loaded = db + 1 } }
inline fill_late(s) {
  d_step {
    loaded != 0 && (good[s] & BIT(LATE)) && kind[s] == PLACE && loaded > ver[s] ->
    kind[s] = VALUE; ver[s] = loaded - 1; good[s] = 0; forget(LATE); loaded = 0
  }
}

proctype world() {
end:
  do
  :: deliver(1, 1)
  :: deliver(2, 1)
#if WRITES > 1
  :: deliver(1, 2)
  :: deliver(2, 2)
#endif
  :: d_step { kind[1] != ABSENT -> clear(1) }
  :: d_step { kind[2] != ABSENT -> clear(2) }
  :: d_step {
       servers == 1 -> servers = 2; kind[2] = kind[1]; ver[2] = ver[1]; good[2] = good[1];
       sure = (sure & BIT(1) -> sure | BIT(2) : sure)
     }
  :: expire(0)
  :: expire(1)
  :: read_row(0)
  :: read_row(1)
#if READERS > 1
  :: expire(2)
  :: read_row(2)
#endif
#if LOADER
  :: load_late(1)
  :: load_late(2)
  :: fill_late(1)
  :: fill_late(2)
  :: d_step { loaded != 0 -> forget(LATE); loaded = 0 }
#endif
  od
}

/* --- the guardian ----------------------------------------------------------------------------- */

#define OUT        0             /* out of office, or to know it soon */
#define SUSPENDING 1
#define WAITED     2             /* about to write down "suspended" */
#define SUSPENDED  3
#define RESUMING   4
#define DRAINING   5
#define TRUSTED    6

#if defined(M_SUSPENDING_WAITS)
#define TRUST_OVER true
#elif defined(M_OFFICE_OUTLASTS)
#define TRUST_OVER (!ANY_TRUST)
#else
#define TRUST_OVER (!ANY_TRUST && (believes & ~BIT(me)) == 0)
#endif
#ifdef M_RESUMING_WAITS
#define SUSPENSION_OVER true
#else
#define SUSPENSION_OVER (!ANY_OLD)
#endif
#ifdef M_DRAINED_SERVER
#define SAME_SERVER true
#else
#define SAME_SERVER (rec == server)
#endif
#ifdef M_DRAIN
#define DRAINED true
#else
#define DRAINED ((waits == 0 || waits > need) && SAME_SERVER)
#endif
#ifdef M_REGISTER_TERM
#define MAY_REGISTER true
#else
#define MAY_REGISTER (phase >= SUSPENDING && phase <= SUSPENDED && term == me)
#endif
#ifdef M_OFFICE_ENDS
#define IN_OFFICE true
#else
#define IN_OFFICE (believes & BIT(me))
#endif
#if READERS > 1
inline change(from, to) {
  lease[0] = (lease[0] == from -> to : lease[0]);
  lease[1] = (lease[1] == from -> to : lease[1]);
  lease[2] = (lease[2] == from -> to : lease[2])
}
#else
inline change(from, to) {
  lease[0] = (lease[0] == from -> to : lease[0]);
  lease[1] = (lease[1] == from -> to : lease[1])
}
#endif
/* What is held when a guardian writes that it resumes is told apart as long as it waits for that. */
inline suspend() {
  if
  :: phase == RESUMING && term == me -> change(OLD, SUSP)
  :: else
  fi;
  phase = SUSPENDING; server = 0; need = 0
}

#define GRANTS (phase == TRUSTED && IN_OFFICE)

inline grant(c) { d_step { GRANTS && lease[c] != server && !(done & BIT(c)) -> lease[c] = server } }

/* S6. It settles, and looks at its phase, in one step: to settle it earlier, too, is no more than a delivery. */
#ifdef M_VOUCH_OFFICE_ENDS
#define MAY_VOUCH(c) (at[c] == KNOWS)
#else
#define MAY_VOUCH(c) (at[c] == KNOWS && IN_OFFICE)
#endif
#if defined(M_VOUCH_SUSPENDING)
#define VOUCHES_ALL (phase >= SUSPENDING && phase <= RESUMING)
#elif defined(M_VOUCH_DRAINING)
#define VOUCHES_ALL (phase >= SUSPENDED && phase <= DRAINING)
#else
#define VOUCHES_ALL (phase == SUSPENDED || phase == RESUMING)
#endif
#if defined(M_VOUCH_DRAINING_SERVER)
#define VOUCHES_AT(s) (phase == DRAINING || phase == TRUSTED && server == s)
#elif defined(M_VOUCH_TRUSTED_SERVER)
#define VOUCHES_AT(s) (phase == TRUSTED || phase == DRAINING && server == s)
#else
#define VOUCHES_AT(s) (phase >= DRAINING && server == s)
#endif

inline ended(c) {
  if
  :: c == 0 -> acknowledged()
  :: else -> returned(c)
  fi
}

inline vouch(c) { d_step { MAY_VOUCH(c) && VOUCHES_ALL -> ended(c) } }
inline vouch_settled(c, s) { d_step { MAY_VOUCH(c) && VOUCHES_AT(s) && servers >= s -> settle(s, got[c]); ended(c) } }

/* It finds another server than the one on record. */
inline register(s) {
  d_step { MAY_REGISTER && servers >= s && rec != s -> rec = s; doubt = doubt || !(sure & BIT(s)) }
}

inline trust_at_once(s) {
  d_step {
    phase == TRUSTED && term == me && servers >= s && rec != s ->
    rec = s; doubt = doubt || !(sure & BIT(s)); phase = DRAINING; need = db; server = s
  }
}

proctype guardian(byte me; byte phase) {
  byte server = (phase == TRUSTED -> 1 : 0); /* the one that its leases name, or are to name */
  byte need;                     /* what must be settled before it trusts */
#ifdef M_STATEMENT_LATE
  bool late = false;             /* "suspended" is written twice, and once it is still under way */
#endif
end:
  do
#if CRASHES
  /* a new term */
  :: d_step {
       (term != me || phase != SUSPENDING || !(believes & BIT(me))) && (!ONCE || phase == OUT) ->
       suspend(); term = me; believes = believes | BIT(me)
#if defined(M_NEW_GUARDIAN_TRUSTS)
       ; phase = TRUSTED; server = rec
#elif defined(M_NEW_GUARDIAN_WAITS)
       ; phase = SUSPENDED; down = true
#endif
     }
  :: d_step { believes & BIT(me) -> believes = believes & ~BIT(me) }
  /* the same term, after the time of the office has passed */
  :: d_step {
       term == me && phase != OUT && !(believes & BIT(me)) ->
       believes = believes | BIT(me)
#ifndef M_OFFICE_LAPSES
       ; suspend()
#endif
     }
#endif

  :: grant(0)
  :: grant(1)
  :: vouch(0)
  :: vouch(1)
  :: vouch_settled(0, 1)
  :: vouch_settled(0, 2)
  :: vouch_settled(1, 1)
  :: vouch_settled(1, 2)
#if READERS > 1
  :: grant(2)
  :: vouch(2)
  :: vouch_settled(2, 1)
  :: vouch_settled(2, 2)
#endif

  :: d_step { phase >= RESUMING -> suspend() }
#ifdef M_SUSPENDED_TERM
  :: d_step { phase == SUSPENDING && TRUST_OVER -> phase = WAITED }
  :: d_step { phase == WAITED -> down = true; phase = SUSPENDED }
#else
  :: d_step { phase == SUSPENDING && TRUST_OVER && term == me -> down = true; phase = SUSPENDED }
#endif
#ifdef M_STATEMENT_LATE
  :: d_step { phase == SUSPENDED && !late && term == me -> late = true }
  :: d_step { late && term == me -> down = true; late = false }
#endif
  :: register(1)
  :: register(2)
#ifdef M_NEW_SERVER_WAITS
  :: trust_at_once(1)
  :: trust_at_once(2)
#endif
  :: d_step {
       doubt && phase != OUT && term == me ->
#ifndef M_REPAIR
       invalidate(rec, db);
#endif
       doubt = false;
       if
       :: waits == 0 -> sure = sure | BIT(rec)
       :: else
       fi
     }
  :: d_step {
       phase == SUSPENDED && !doubt && term == me ->
       down = false; phase = RESUMING; server = rec; change(SUSP, OLD)
     }
  :: d_step { phase == RESUMING && SUSPENSION_OVER -> phase = DRAINING; need = db }
  :: d_step { phase == DRAINING && !doubt && DRAINED -> phase = TRUSTED; need = 0 }
  od
}

init {
  atomic {
    kind[1] = VALUE;
    run world(); run writer();
    run guardian(1, TRUSTED);
#if GUARDIANS > 1
    run guardian(2, OUT);
#endif
    run reader(1);
#if READERS > 1
    run reader(2)
#endif
  }
}
