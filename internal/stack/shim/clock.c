// A time of day that can be moved while a program runs, for the servers of package stack: preloaded into a program, this
// adds the nanoseconds that stand in the file TIDELOCK_CLOCK to what the program is told of the time. Monotonic clocks are
// left alone. It allocates nothing and looks nothing up while it answers, because allocators ask for the time while they
// are not yet ready themselves: that is where libfaketime and jemalloc, and so Valkey, wait for each other for ever.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *offset; // in the file, which the launcher writes to; NULL while the program is being loaded

static void fail(const char *why) {
	if (write(2, why, strlen(why)) < 0) {
	}
	_exit(1);
}

// A clock that does not move would let every test of one pass, so a file that cannot be read is the end.
__attribute__((constructor)) static void begin(void) {
	const char *path = getenv("TIDELOCK_CLOCK");
	if (path == NULL)
		fail("clock: TIDELOCK_CLOCK is not set\n");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("clock: cannot open the file TIDELOCK_CLOCK\n");
	void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		fail("clock: cannot map the file TIDELOCK_CLOCK\n");
	offset = page;
}

static void move(struct timespec *ts, int64_t by) {
	int64_t nanos = ts->tv_nsec + by % SECOND;
	ts->tv_sec += by / SECOND;
	if (nanos < 0) {
		ts->tv_sec--;
		nanos += SECOND;
	} else if (nanos >= SECOND) {
		ts->tv_sec++;
		nanos -= SECOND;
	}
	ts->tv_nsec = nanos;
}

int clock_gettime(clockid_t id, struct timespec *ts) {
	int rc = syscall(SYS_clock_gettime, id, ts);
	if (rc == 0 && offset != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		move(ts, *offset);
	return rc;
}

int gettimeofday(struct timeval *tv, void *zone) {
	struct timespec ts;
	(void)zone; // obsolete
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t) {
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (t != NULL)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

// The kernel does not know of the offset, so a time to wait until is moved back. Else a thread that waits until ten
// seconds from now would, after a jump back, not wait at all, and do so over and over.
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
	static int (*next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
	struct timespec real = *until;
	if (offset != NULL)
		move(&real, -*offset);
	return next(cond, mutex, &real);
}
