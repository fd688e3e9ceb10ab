// A disk that fails on purpose: a library to preload.
//
// It counts the calls of a process that change files below one folder, and at the n-th of them it
// ends the process as `kill -9` would, or lets that one call fail. All other calls pass.
// Environment: FAULTY_DISK_ROOT, FAULTY_DISK_KINDS (a mask), FAULTY_DISK_AT (from 1; 0 for never),
// FAULTY_DISK_ACTION (see enum action), FAULTY_DISK_LOG (a file that gets the call that was hit),
// FAULTY_DISK_GATE (nothing is counted before this file is there; none if empty).
// A process that forks can arm itself instead: faulty_disk_arm().
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, UNLINK = 16, MAKE = 32, TRUNCATE = 64 };
enum action { PASS = 0, KILL = 1, TEAR = 2, SHORT = 3 };  // others are numbers of errors, negated

static char root[PATH_MAX];
static size_t root_length;
static int kinds;
static long at;
static int action;
static char log_path[PATH_MAX];
static char gate_path[PATH_MAX];
static atomic_long count;

void faulty_disk_arm(const char* folder, int mask, long number, int what, const char* log) {
  snprintf(root, sizeof root, "%s", folder);
  root_length = strlen(root);
  kinds = mask;
  at = number;
  action = what;
  snprintf(log_path, sizeof log_path, "%s", log);
  atomic_store(&count, 0);
}

long faulty_disk_count(void) { return atomic_load(&count); }

__attribute__((constructor)) static void arm_from_environment(void) {
  const char* folder = getenv("FAULTY_DISK_ROOT");
  if (folder == NULL) return;
  const char* log = getenv("FAULTY_DISK_LOG");
  const char* gate = getenv("FAULTY_DISK_GATE");
  snprintf(gate_path, sizeof gate_path, "%s", gate == NULL ? "" : gate);
  faulty_disk_arm(folder, atoi(getenv("FAULTY_DISK_KINDS")), atol(getenv("FAULTY_DISK_AT")),
                  atoi(getenv("FAULTY_DISK_ACTION")), log == NULL ? "" : log);
}

static int is_below(const char* path) {
  return root_length > 0 && strncmp(path, root, root_length) == 0 &&
         (path[root_length] == '/' || path[root_length] == '\0');
}

static int fd_is_below(int fd, char* path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return is_below(path);
}

static void note(const char* call, const char* path, long number) {
  if (log_path[0] == '\0') return;
  char line[PATH_MAX + 64];
  int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path + root_length);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return;
  syscall(SYS_write, fd, line, (size_t)length);
  syscall(SYS_close, fd);
}

// Returns what to do with a call. Does not return where the process ends here.
static int meet(enum kind kind, const char* call, const char* path) {
  if ((kinds & kind) == 0) return PASS;
  if (gate_path[0] != '\0') {
    if (access(gate_path, F_OK) != 0) return PASS;
    gate_path[0] = '\0';
  }
  long number = atomic_fetch_add(&count, 1) + 1;
  if (at == 0 || number != at) return PASS;
  note(call, path, number);
  if (action == KILL || (action == TEAR && kind != WRITE)) kill(getpid(), SIGKILL);
  return action;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define FAIL_IF(what) \
  do { \
    int outcome = (what); \
    if (outcome < 0) { \
      errno = -outcome; \
      return -1; \
    } \
  } while (0)

#define ON_FD(kind, call) \
  char path_[PATH_MAX]; \
  if (fd_is_below(fd, path_)) FAIL_IF(meet(kind, call, path_))

#define DEFINE_OPEN(name) \
  int name(const char* path, int flags, ...) { \
    REAL(name); \
    va_list arguments; \
    va_start(arguments, flags); \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0; \
    va_end(arguments); \
    if (is_below(path)) FAIL_IF(meet(OPEN, "open", path)); \
    return real(path, flags, mode); \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name) \
  int name(int folder, const char* path, int flags, ...) { \
    REAL(name); \
    va_list arguments; \
    va_start(arguments, flags); \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0; \
    va_end(arguments); \
    if (is_below(path)) FAIL_IF(meet(OPEN, "open", path)); \
    return real(folder, path, flags, mode); \
  }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

// Half of the bytes, and then the end of the process, or of the call.
#define DEFINE_WRITE(name, parameters, arguments, half) \
  ssize_t name parameters { \
    REAL(name); \
    char path[PATH_MAX]; \
    if (fd_is_below(fd, path)) { \
      int found = meet(WRITE, "write", path); \
      FAIL_IF(found); \
      if (found == TEAR) { \
        (void)!real half; \
        kill(getpid(), SIGKILL); \
      } \
      if (found == SHORT && size > 1) return real half; \
    } \
    return real arguments; \
  }
DEFINE_WRITE(write, (int fd, const void* data, size_t size), (fd, data, size), (fd, data, size / 2))
DEFINE_WRITE(pwrite, (int fd, const void* data, size_t size, off_t place), (fd, data, size, place),
             (fd, data, size / 2, place))
DEFINE_WRITE(pwrite64, (int fd, const void* data, size_t size, off64_t place),
             (fd, data, size, place), (fd, data, size / 2, place))

int fsync(int fd) {
  REAL(fsync);
  ON_FD(SYNC, "fsync");
  return real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  ON_FD(SYNC, "fdatasync");
  return real(fd);
}

int ftruncate(int fd, off_t size) {
  REAL(ftruncate);
  ON_FD(TRUNCATE, "ftruncate");
  return real(fd, size);
}

int ftruncate64(int fd, off64_t size) {
  REAL(ftruncate64);
  ON_FD(TRUNCATE, "ftruncate");
  return real(fd, size);
}

int rename(const char* from, const char* to) {
  REAL(rename);
  if (is_below(to)) FAIL_IF(meet(RENAME, "rename", to));
  return real(from, to);
}

int unlink(const char* path) {
  REAL(unlink);
  if (is_below(path)) FAIL_IF(meet(UNLINK, "unlink", path));
  return real(path);
}

int rmdir(const char* path) {
  REAL(rmdir);
  if (is_below(path)) FAIL_IF(meet(UNLINK, "rmdir", path));
  return real(path);
}

int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  if (is_below(path)) FAIL_IF(meet(MAKE, "mkdir", path));
  return real(path, mode);
}

int chmod(const char* path, mode_t mode) {
  REAL(chmod);
  if (is_below(path)) FAIL_IF(meet(MAKE, "chmod", path));
  return real(path, mode);
}
