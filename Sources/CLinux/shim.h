/* Linux interfaces that Swift's Glibc module leaves out. */
/* Without _GNU_SOURCE, since it gives types of the C library other members than Swift's Glibc module sees. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

/* F_OFD_SETLKW is a macro that Swift can't see without _GNU_SOURCE, and fcntl is variadic. Open file
   description locks belong to the descriptor, not to the process, so closing another descriptor of
   the same file does not drop them (fcntl(2)). */
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif
#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#endif
static inline int ds_lock_range(int fd, short type, int wait, int64_t start, int64_t length) {
    struct flock l = {0};
    l.l_type = type;
    l.l_whence = SEEK_SET;
    l.l_start = start;
    l.l_len = length;
    return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
}
static inline int ds_lock(int fd, short type, int wait) { return ds_lock_range(fd, type, wait, 0, 0); }

/* Whether somebody else holds a lock of the file; takes none itself. */
static inline int ds_is_locked(int fd) {
    struct flock l = {0};
    l.l_type = F_WRLCK;
    l.l_whence = SEEK_SET;
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* The kernel sends SIG when the thread that started this process ends: no child outlives the
   supervisor, even one that was killed. */
static inline int ds_die_with_parent(int sig) { return prctl(PR_SET_PDEATHSIG, sig); }

/* Shown by ps and perf; at most 15 bytes. */
static inline void ds_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/* accept4(2), which the headers declare for _GNU_SOURCE only. */
extern int accept4(int, struct sockaddr *, socklen_t *, int);
static inline int ds_accept(int listener) { return accept4(listener, 0, 0, SOCK_CLOEXEC); }

static inline int ds_unix_address(const char *path, struct sockaddr_un *address) {
    size_t length = strlen(path);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, length);
    return 0;
}

/// Whether the peer of a Unix socket has not read yet all that was sent.
static inline int ds_has_unread_bytes(int descriptor) {
    int bytes = 0;
    return ioctl(descriptor, TIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* A connected stream socket, or -1. Connecting to a Unix socket doesn't wait unless the listener's
   backlog is full; non-blocking, it then fails with EAGAIN. */
static inline int ds_connect_unix(const char *path) {
    struct sockaddr_un address;
    if (ds_unix_address(path, &address) != 0) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* COUNT numbers in a file, shared by all processes that map it; NULL when that fails. */
static inline int64_t *ds_map_numbers(const char *path, size_t count) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return 0;
    void *mapped = MAP_FAILED;
    /* Written rather than left a hole: on a full disk the first store into a hole would be a SIGBUS. */
    int64_t zero = 0;
    off_t size = (off_t)(count * sizeof zero), end = lseek(fd, 0, SEEK_END);
    while (end >= 0 && end < size)
        end = pwrite(fd, &zero, sizeof zero, end) == sizeof zero ? end + (off_t)sizeof zero : -1;
    if (end >= size) mapped = mmap(0, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return mapped == MAP_FAILED ? 0 : (int64_t *)mapped;
}
static inline int64_t *ds_map_number(const char *path) { return ds_map_numbers(path, 1); }
static inline void ds_atomic_store(int64_t *number, int64_t value) {
    __atomic_store_n(number, value, __ATOMIC_SEQ_CST);
}
static inline void ds_atomic_add(int64_t *number, int64_t difference) {
    __atomic_fetch_add(number, difference, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
/* The fence keeps the load from being done before earlier stores of this thread are seen by others. */
static inline int64_t ds_atomic_load_behind_stores(int64_t *number) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}
/* Whether one of COUNT numbers is not zero; as above. */
static inline int ds_atomic_any_behind_stores(int64_t *numbers, size_t count) {
    int64_t all = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (size_t i = 0; i < count; i++) all |= __atomic_load_n(numbers + i, __ATOMIC_SEQ_CST);
    return all != 0;
}

/* Numbers that are only counted: each is right by itself, and nothing else is ordered by them. */
static inline void ds_count(uint64_t *number, uint64_t amount) {
    __atomic_fetch_add(number, amount, __ATOMIC_RELAXED);
}
static inline void ds_count_store(uint64_t *number, uint64_t value) {
    __atomic_store_n(number, value, __ATOMIC_RELAXED);
}
static inline uint64_t ds_count_load(const uint64_t *number) { return __atomic_load_n(number, __ATOMIC_RELAXED); }

/* What kind of file system a path is on (statfs(2)); 0 when that can't be found out. Swift sees no statfs. */
static inline uint32_t ds_file_system(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (uint32_t)status.f_type : 0;
}

/* Sends an open descriptor over a Unix socket, without waiting (SCM_RIGHTS, unix(7)): 0, or -1 with errno. */
static inline int ds_send_descriptor(int socket, int fd) {
    char byte = 0;
    struct iovec part = {&byte, 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {0};
    memset(&control, 0, sizeof control);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control.space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}
/* Takes a descriptor that was sent, without waiting; -1 with errno when none is there. */
static inline int ds_receive_descriptor(int socket) {
    char byte;
    struct iovec part = {&byte, 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {0};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control.space;
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int fd = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    if (fd < 0) errno = EMFILE;
    return fd;
}

/* A lock of the process (not of the descriptor) on one byte of a file, by which others learn who has it (fcntl(2),
   F_GETLK). It survives execve(2). */
static inline int ds_sign(int fd, int64_t byte) {
    struct flock l = {0};
    l.l_type = F_WRLCK;
    l.l_whence = SEEK_SET;
    l.l_start = byte;
    l.l_len = 1;
    return fcntl(fd, F_SETLK, &l);
}
/* The process that has signed, 0 when none has, -1 with errno on failure. */
static inline pid_t ds_signer(int fd, int64_t byte) {
    struct flock l = {0};
    l.l_type = F_WRLCK;
    l.l_whence = SEEK_SET;
    l.l_start = byte;
    l.l_len = 1;
    if (fcntl(fd, F_GETLK, &l) != 0) return -1;
    return l.l_type == F_UNLCK ? 0 : l.l_pid;
}
