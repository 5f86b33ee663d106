/* Lets locks between processes wait under valgrind. A library for LD_PRELOAD; see instrumented.py.
 *
 * valgrind runs one thread at a time and lets another go on while one waits in a system call, but it does not know that
 * F_OFD_SETLKW waits: the whole process would stand still until the lock is free, for ever if one of its own threads
 * has it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int control(int descriptor, int command, void *argument) {
    if (command != F_OFD_SETLKW) return syscall(SYS_fcntl, descriptor, command, argument);
    while (syscall(SYS_fcntl, descriptor, F_OFD_SETLK, argument) != 0) {
        if (errno != EAGAIN && errno != EACCES) return -1;
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    return 0;
}

#define REPLACE(name)                                \
    int name(int descriptor, int command, ...) {     \
        va_list arguments;                           \
        va_start(arguments, command);                \
        void *argument = va_arg(arguments, void *);  \
        va_end(arguments);                           \
        return control(descriptor, command, argument); \
    }

REPLACE(fcntl)
REPLACE(fcntl64)
