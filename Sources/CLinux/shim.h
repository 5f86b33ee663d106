/* Linux interfaces that Swift's Glibc module leaves out. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

/* F_OFD_SETLKW is a macro that Swift can't see without _GNU_SOURCE, and fcntl is variadic. Open file
   description locks belong to the descriptor, not to the process, so closing another descriptor of
   the same file does not drop them (fcntl(2)). */
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif
static inline int ds_lock(int fd, short type, int wait) {
    struct flock l = {0};
    l.l_type = type;
    l.l_whence = SEEK_SET;
    return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
}

/* The kernel sends SIG when the thread that started this process ends: no child outlives the
   supervisor, even one that was killed. */
static inline int ds_die_with_parent(int sig) { return prctl(PR_SET_PDEATHSIG, sig); }
