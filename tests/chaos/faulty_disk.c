/* A disk that fails at one call: preloaded into the daemon, told by a file in memory that the harness shares with it.
 *
 * Only calls that change files below two folders are looked at, the buffer's and the archive's. A call belongs to a
 * step of the buffer: which one says the transaction that the thread is in, by the statements that SQLite is given.
 *
 * cc -shared -fPIC -O1 -o faulty_disk.so faulty_disk.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum act { NOTHING, FAIL, SHORT, KILL_BEFORE, KILL_AFTER, TORN };
enum call { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, UNLINK = 16, CUT = 32, MKDIR = 64 };
enum step { OTHER = 1, COMMIT = 2, SEAL = 4, ACKNOWLEDGE = 8, SINKS = 16, CHECKPOINT = 32, UPLOAD = 64 };

/* Mirrored by faulty_disk.py. */
struct control {
    int32_t act, error;
    uint32_t calls, steps;  /* which ones count */
    int64_t before;         /* so many that count are let pass */
    int64_t times;          /* then so many are acted on; below zero: until the act is taken back */
    int64_t seen, acted;
    char last[240];         /* what was acted on last */
};

static struct control nobody, *control = &nobody;
static const char *folders[2];
static unsigned char inside[65536]; /* by descriptor: below one of the folders; 2 is the archive */
static __thread int step = 0;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_DISK");
    folders[0] = getenv("CHAOS_DISK_BUFFER");
    folders[1] = getenv("CHAOS_DISK_ARCHIVE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED) control = shared;
}

static int where(const char *path) {
    for (int at = 0; path && at < 2; at++) {
        size_t size = folders[at] ? strlen(folders[at]) : 0;
        if (size && !strncmp(path, folders[at], size) && (path[size] == '/' || !path[size])) return at + 1;
    }
    return 0;
}

static int of(int fd) { return fd >= 0 && fd < 65536 ? inside[fd] : 0; }

static const char *name_of(int fd, const char *path, char *room, size_t size) {
    if (path) {
        snprintf(room, size, "%s", path);
    } else {
        char link[40];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, room, size - 1);
        room[length > 0 ? length : 0] = 0;
    }
    const char *slash = strrchr(room, '/');
    return slash ? slash + 1 : room;
}

static const char *step_name(int at) {
    switch (at) {
    case COMMIT: return "commit";
    case SEAL: return "seal";
    case ACKNOWLEDGE: return "acknowledge";
    case SINKS: return "sinks";
    case CHECKPOINT: return "checkpoint";
    case UPLOAD: return "upload";
    default: return "other";
    }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* What is to become of a call: NOTHING for almost all. */
static int verdict(int folder, int kind, const char *said, int fd, const char *path) {
    if (!folder) return NOTHING;
    int at = folder == 2 ? UPLOAD : step ? step : OTHER;
    __atomic_add_fetch(&control->seen, 1, __ATOMIC_RELAXED);
    int act = __atomic_load_n(&control->act, __ATOMIC_ACQUIRE);
    if (!act || !(control->calls & kind) || !(control->steps & at)) return NOTHING;
    if (__atomic_sub_fetch(&control->before, 1, __ATOMIC_ACQ_REL) >= 0) return NOTHING;
    if (control->times >= 0 && __atomic_sub_fetch(&control->times, 1, __ATOMIC_ACQ_REL) < 0) {
        control->times = 0;
        return NOTHING;
    }
    char room[4096];
    const char *name = name_of(fd, path, room, sizeof room);
    snprintf(control->last, sizeof control->last, "%s: %s %.200s", step_name(at), said, name);
    __atomic_add_fetch(&control->acted, 1, __ATOMIC_RELEASE);
    if (act == KILL_BEFORE) die();
    return act;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* A call without data: it fails, or the process dies before or after it. */
#define CALL(folder, kind, said, fd, path, failed, doing) \
    int act = verdict(folder, kind, said, fd, path); \
    if (act == FAIL) { errno = control->error; return failed; } \
    __typeof__(doing) done = doing; \
    if (act > SHORT) die(); \
    return done

/* ---- opening and closing ---- */

static int opened(int fd, int folder) {
    if (fd >= 0 && fd < 65536) inside[fd] = folder;
    return fd;
}

#define OPENING(...) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
    int folder = where(path), changes = flags & (O_WRONLY | O_RDWR | O_CREAT); \
    int act = changes ? verdict(folder, OPEN, "open", -1, path) : NOTHING; \
    if (act == FAIL) { errno = control->error; return -1; } \
    int fd = opened(real(__VA_ARGS__, mode), folder); \
    if (act > SHORT) die(); \
    return fd

int open(const char *path, int flags, ...) { REAL(open); OPENING(path, flags); }
int open64(const char *path, int flags, ...) { REAL(open64); OPENING(path, flags); }
int openat(int at, const char *path, int flags, ...) { REAL(openat); OPENING(at, path, flags); }
int openat64(int at, const char *path, int flags, ...) { REAL(openat64); OPENING(at, path, flags); }

int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < 65536) inside[fd] = 0;
    return real(fd);
}

/* ---- data ---- */

#define WRITING(said, size, whole, half) \
    int act = verdict(of(fd), WRITE, said, fd, NULL); \
    if (act == FAIL) { errno = control->error; return -1; } \
    if ((act == SHORT || act == TORN) && size > 1) { ssize_t part = half; if (act == TORN) die(); return part; } \
    ssize_t done = whole; \
    if (act > SHORT) die(); \
    return done

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    WRITING("write", size, real(fd, data, size), real(fd, data, size / 2));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REAL(pwrite);
    WRITING("pwrite", size, real(fd, data, size, offset), real(fd, data, size / 2, offset));
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(pwrite64);
    WRITING("pwrite", size, real(fd, data, size, offset), real(fd, data, size / 2, offset));
}
int fsync(int fd) { REAL(fsync); CALL(of(fd), SYNC, "fsync", fd, NULL, -1, real(fd)); }
int fdatasync(int fd) { REAL(fdatasync); CALL(of(fd), SYNC, "fdatasync", fd, NULL, -1, real(fd)); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); CALL(of(fd), CUT, "ftruncate", fd, NULL, -1, real(fd, size)); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); CALL(of(fd), CUT, "ftruncate", fd, NULL, -1, real(fd, size)); }

/* ---- names ---- */

int rename(const char *from, const char *to) {
    REAL(rename);
    CALL(where(to), RENAME, "rename", -1, to, -1, real(from, to));
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    CALL(where(to), RENAME, "rename", -1, to, -1, real(a, from, b, to));
}
int link(const char *from, const char *to) {
    REAL(link);
    CALL(where(to), RENAME, "link", -1, to, -1, real(from, to));
}
int unlink(const char *path) { REAL(unlink); CALL(where(path), UNLINK, "unlink", -1, path, -1, real(path)); }
int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    CALL(where(path), UNLINK, "unlink", -1, path, -1, real(at, path, flags));
}
int mkdir(const char *path, mode_t mode) { REAL(mkdir); CALL(where(path), MKDIR, "mkdir", -1, path, -1, real(path, mode)); }

/* ---- which transaction a thread is in ---- */

typedef struct sqlite3_stmt sqlite3_stmt;

static int step_of(const char *sql) {
    if (strstr(sql, "wal_checkpoint")) return CHECKPOINT;
    if (strncmp(sql, "INSERT", 6) && strncmp(sql, "UPDATE", 6) && strncmp(sql, "DELETE", 6)) return 0;
    if (strstr(sql, " cursors") || strstr(sql, " segments") || strstr(sql, "INTO frames")) return COMMIT;
    if (strstr(sql, "INTO batches") || strstr(sql, "INTO progress")) return SEAL;
    if (strstr(sql, " sinks") || strstr(sql, "WHERE slot")) return SINKS;
    return strncmp(sql, "DELETE", 6) ? 0 : ACKNOWLEDGE;
}

/* The lowest wins: a commit may delete too. */
int sqlite3_step(sqlite3_stmt *statement) {
    static int (*real)(sqlite3_stmt *);
    static const char *(*text)(sqlite3_stmt *);
    if (!real) {
        void *library = dlopen("libsqlite3.so.0", RTLD_LAZY | RTLD_NOLOAD);
        text = (const char *(*)(sqlite3_stmt *))dlsym(library, "sqlite3_sql");
        real = (int (*)(sqlite3_stmt *))dlsym(library, "sqlite3_step");
    }
    const char *sql = text(statement);
    int found = sql ? step_of(sql) : 0;
    if (sql && !strncmp(sql, "BEGIN", 5)) step = 0;
    if (found && (!step || found < step)) step = found;
    int result = real(statement);
    if (found == CHECKPOINT || (sql && (!strncmp(sql, "COMMIT", 6) || !strncmp(sql, "ROLLBACK", 8)))) step = 0;
    return result;
}
