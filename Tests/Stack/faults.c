/* Makes writes and syncs of the worker fail while a test wants it. A library for LD_PRELOAD; see test_io_errors.py.
 *
 * FAULTS names a folder. While it has a file `sync`, fsync(2) and fdatasync(2) fail; while it has `write`, write(2) and
 * pwrite(2) do. The file holds the name of an errno and a pattern (fnmatch(3)) of the paths that it is for, such as
 * `EIO *.sqlite-wal`. A call that was made to fail leaves `sync.fired` or `write.fired`. Only programs called
 * durable-streams-worker are concerned.
 *
 * FAULTS_LATER moves the clock of any program by so many seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *folder;
static long later;

__attribute__((constructor)) static void begin(void) {
    const char *seconds = getenv("FAULTS_LATER");
    if (seconds) later = atol(seconds);
    if (!strncmp(program_invocation_short_name, "durable-streams-worker", 22)) folder = getenv("FAULTS");
}

/* The errno with which a call on a descriptor is to fail; 0 when it is to work. */
static int fault(const char *kind, int descriptor) {
    if (!folder) return 0;
    char path[4096], wish[512], link[64], file[4096];
    snprintf(path, sizeof path, "%s/%s", folder, kind);
    int found = open(path, O_RDONLY | O_CLOEXEC);
    if (found < 0) return 0;
    ssize_t count = read(found, wish, sizeof wish - 1);
    close(found);
    if (count <= 0) return 0;
    wish[count] = 0;
    wish[strcspn(wish, "\n")] = 0;
    char *pattern = strchr(wish, ' ');
    if (!pattern) return 0;
    *pattern++ = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, file, sizeof file - 1);
    if (length <= 0) return 0;
    file[length] = 0;
    if (fnmatch(pattern, file, 0) != 0) return 0;
    strncat(path, ".fired", sizeof path - strlen(path) - 1);
    found = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (found >= 0) close(found);
    return strcmp(wish, "ENOSPC") == 0 ? ENOSPC : EIO;
}

#define FAIL_IF(kind, descriptor)             \
    do {                                      \
        int before = errno;                   \
        int code = fault(kind, descriptor);   \
        errno = code ? code : before;         \
        if (code) return -1;                  \
    } while (0)

int fsync(int descriptor) {
    FAIL_IF("sync", descriptor);
    return (int)syscall(SYS_fsync, descriptor);
}

int fdatasync(int descriptor) {
    FAIL_IF("sync", descriptor);
    return (int)syscall(SYS_fdatasync, descriptor);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    FAIL_IF("write", descriptor);
    return syscall(SYS_write, descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    FAIL_IF("write", descriptor);
    return syscall(SYS_pwrite64, descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    FAIL_IF("write", descriptor);
    return syscall(SYS_pwrite64, descriptor, bytes, count, offset);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += later;
    return result;
}
