/*
 * Preloaded into handover's processes by tests/faults.rs: sees each call that changes something, in the library that all of
 * them go through, and makes one of them fail, or be the last.
 *
 * strace can inject faults, too, but counts them for each thread and each system call on its own, which says little about
 * a server with a pool of threads. Here a call is named by what it does to what (`serve rename apps/shop/…`), digits apart,
 * and counted over all processes by one number in a file that they all have mapped. tests/faults/shim.rs writes that file.
 *
 * Nothing here allocates or locks: a process calls it between fork and exec, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { OFF, RECORD, ARMED };
enum { LONGEST = 1024 };

/* What the test and all processes share. Offsets as in tests/faults/shim.rs. */
struct control {
	_Atomic int mode;
	int error; /* what the call fails with; 0: SIGKILL */
	_Atomic int left; /* of the calls that are meant, the one that is hit */
	_Atomic int hit; /* the process that was hit */
	_Atomic int begun; /* whether calls are counted yet */
	char pad[44];
	char home[192]; /* left out of the names */
	char log[256]; /* where calls are recorded */
	char wanted[LONGEST];
	char after[LONGEST]; /* calls are counted from this one on; where there is none, from the first on */
};

static struct control *control;
static const char *role; /* serve, keep, front */
static pid_t self;

struct text {
	char at[LONGEST];
	size_t length;
};

static void put(struct text *text, const char *more)
{
	for (; *more && text->length < LONGEST - 2; more++)
		text->at[text->length++] = *more;
	text->at[text->length] = 0;
}

static int digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where a name of random letters or an object's id is at, its length: 8 hexadecimal digits and more, one of them 0-9. */
static size_t random_part(const char *at)
{
	size_t length = 0, digits = 0;
	while (digit(at[length]) || (at[length] >= 'a' && at[length] <= 'f'))
		digits += digit(at[length++]);
	return digits && length >= 8 ? length : 0;
}

/* A path, below the home, in which numbers are `#`. */
static void put_path(struct text *text, const char *path)
{
	size_t home = strlen(control->home);
	if (home && strncmp(path, control->home, home) == 0 && path[home] == '/')
		path += home + 1;
	while (*path) {
		size_t length = random_part(path);
		while (!length && digit(path[length]))
			length++;
		while (length && digit(path[length]))
			length++;
		if (length) {
			put(text, "#");
			path += length;
		} else {
			char one[2] = { *path++, 0 };
			put(text, one);
		}
	}
}

static void put_descriptor(struct text *text, int fd)
{
	char link[64] = "/proc/self/fd/", digits[12], path[LONGEST];
	int at = sizeof digits - 1;
	digits[at] = 0;
	do {
		digits[--at] = '0' + fd % 10;
		fd /= 10;
	} while (fd);
	strcat(link, digits + at);
	ssize_t length = readlink(link, path, sizeof path - 1);
	path[length < 0 ? 0 : length] = 0;
	put_path(text, path);
}

static void put_at(struct text *text, int dir, const char *path)
{
	if (path[0] != '/' && dir != AT_FDCWD) {
		put_descriptor(text, dir);
		put(text, "/");
	}
	put_path(text, path);
}

static int on(void)
{
	return control && role && atomic_load(&control->mode) != OFF;
}

static void begin(struct text *text, const char *kind)
{
	text->length = 0;
	put(text, role);
	if (getpid() != self)
		put(text, "'s-child");
	put(text, " ");
	put(text, kind);
	put(text, " ");
}

static void record(struct text *text)
{
	put(text, "\n");
	long fd = syscall(SYS_openat, AT_FDCWD, control->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	syscall(SYS_write, fd, text->at, text->length);
	syscall(SYS_close, fd);
}

/* Whether the call with this name is to fail. */
static int hit(struct text *text)
{
	if (atomic_load(&control->mode) == RECORD) {
		record(text);
		return 0;
	}
	if (!atomic_load(&control->begun)) {
		if (strcmp(text->at, control->after) == 0)
			atomic_store(&control->begun, 1);
		return 0;
	}
	if (strcmp(text->at, control->wanted) != 0 || atomic_fetch_sub(&control->left, 1) != 1)
		return 0;
	atomic_store(&control->hit, getpid());
	if (control->error == 0) {
		syscall(SYS_kill, getpid(), SIGKILL);
		for (;;)
			pause();
	}
	errno = control->error;
	return 1;
}

static int path_hit(const char *kind, int dir, const char *path)
{
	struct text text;
	if (!on() || !path)
		return 0;
	begin(&text, kind);
	put_at(&text, dir, path);
	return hit(&text);
}

static int two_paths_hit(const char *kind, int from, const char *source, int to, const char *target)
{
	struct text text;
	if (!on())
		return 0;
	begin(&text, kind);
	put_at(&text, from, source);
	put(&text, " -> ");
	put_at(&text, to, target);
	return hit(&text);
}

static int descriptor_hit(const char *kind, int fd)
{
	struct text text;
	if (!on())
		return 0;
	begin(&text, kind);
	put_descriptor(&text, fd);
	return hit(&text);
}

/* Pipes and sockets hold nothing. */
static int write_hit(int fd)
{
	struct stat found;
	if (!on() || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode))
		return 0;
	return descriptor_hit("write", fd);
}

static int address_hit(const char *kind, const struct sockaddr *address)
{
	struct text text;
	if (!on())
		return 0;
	begin(&text, kind);
	if (address->sa_family == AF_UNIX)
		put_path(&text, ((const struct sockaddr_un *)address)->sun_path);
	else
		put(&text, address->sa_family == AF_INET ? "tcp" : "other");
	return hit(&text);
}

static int bare_hit(const char *kind)
{
	struct text text;
	if (!on())
		return 0;
	begin(&text, kind);
	put(&text, "-");
	return hit(&text);
}

__attribute__((constructor)) static void start(void)
{
	static char line[4096];
	const char *file = getenv("HANDOVER_FAULTS");
	if (!file)
		return;
	self = getpid();
	int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
	syscall(SYS_close, fd);
	for (char *word = line; word < line + length; word += strlen(word) + 1)
		for (int which = 0; !role && which < 3; which++)
			if (!strcmp(word, ((const char *[]){ "serve", "keep", "front" })[which]))
				role = word;
	char *name = strrchr(line, '/');
	if (!role || strcmp(name ? name + 1 : line, "handover") != 0) {
		role = NULL;
		return;
	}
	fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (mapped != MAP_FAILED)
		control = mapped;
}

/* A function in the place of the library's: fails where `unlucky`, and is the library's otherwise. */
#define FAILING(type, failure, name, parameters, arguments, unlucky)                    \
	static type(*real_##name) parameters;                                           \
	__attribute__((constructor)) static void find_##name(void)                      \
	{                                                                               \
		real_##name = dlsym(RTLD_NEXT, #name);                                  \
	}                                                                               \
	type name parameters                                                            \
	{                                                                               \
		if (!real_##name)                                                       \
			find_##name();                                                  \
		return (unlucky) ? (failure) : real_##name arguments;                   \
	}

#define CALL(name, parameters, arguments, unlucky) FAILING(int, -1, name, parameters, arguments, unlucky)
#define WRITE(name, parameters, arguments, unlucky) FAILING(ssize_t, -1, name, parameters, arguments, unlucky)

WRITE(write, (int fd, const void *from, size_t size), (fd, from, size), write_hit(fd))
WRITE(writev, (int fd, const struct iovec *from, int count), (fd, from, count), write_hit(fd))
WRITE(pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at), write_hit(fd))
WRITE(pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at), write_hit(fd))
WRITE(pwritev, (int fd, const struct iovec *from, int count, off_t at), (fd, from, count, at), write_hit(fd))
WRITE(copy_file_range, (int in, off64_t *at, int out, off64_t *to, size_t size, unsigned flags),
      (in, at, out, to, size, flags), descriptor_hit("copy", out))
WRITE(sendfile, (int out, int in, off_t *at, size_t size), (out, in, at, size), write_hit(out))
WRITE(sendfile64, (int out, int in, off64_t *at, size_t size), (out, in, at, size), write_hit(out))

CALL(ftruncate, (int fd, off_t size), (fd, size), descriptor_hit("truncate", fd))
CALL(ftruncate64, (int fd, off64_t size), (fd, size), descriptor_hit("truncate", fd))
CALL(truncate, (const char *path, off_t size), (path, size), path_hit("truncate", AT_FDCWD, path))
CALL(fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), descriptor_hit("truncate", fd))
CALL(fsync, (int fd), (fd), descriptor_hit("sync", fd))
CALL(fdatasync, (int fd), (fd), descriptor_hit("sync", fd))
CALL(syncfs, (int fd), (fd), descriptor_hit("sync", fd))

CALL(rename, (const char *from, const char *to), (from, to), two_paths_hit("rename", AT_FDCWD, from, AT_FDCWD, to))
CALL(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), two_paths_hit("rename", a, from, b, to))
CALL(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags),
     two_paths_hit("rename", a, from, b, to))
CALL(link, (const char *from, const char *to), (from, to), two_paths_hit("link", AT_FDCWD, from, AT_FDCWD, to))
CALL(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags),
     two_paths_hit("link", a, from, b, to))
CALL(symlink, (const char *to, const char *path), (to, path), path_hit("symlink", AT_FDCWD, path))
CALL(symlinkat, (const char *to, int dir, const char *path), (to, dir, path), path_hit("symlink", dir, path))
CALL(unlink, (const char *path), (path), path_hit("unlink", AT_FDCWD, path))
CALL(unlinkat, (int dir, const char *path, int flags), (dir, path, flags),
     path_hit(flags & AT_REMOVEDIR ? "rmdir" : "unlink", dir, path))
CALL(remove, (const char *path), (path), path_hit("unlink", AT_FDCWD, path))
CALL(mkdir, (const char *path, mode_t mode), (path, mode), path_hit("mkdir", AT_FDCWD, path))
CALL(mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), path_hit("mkdir", dir, path))
CALL(rmdir, (const char *path), (path), path_hit("rmdir", AT_FDCWD, path))

CALL(chmod, (const char *path, mode_t mode), (path, mode), path_hit("chmod", AT_FDCWD, path))
CALL(fchmod, (int fd, mode_t mode), (fd, mode), descriptor_hit("chmod", fd))
CALL(fchmodat, (int dir, const char *path, mode_t mode, int flags), (dir, path, mode, flags), path_hit("chmod", dir, path))
CALL(chown, (const char *path, uid_t user, gid_t group), (path, user, group), path_hit("chown", AT_FDCWD, path))
CALL(lchown, (const char *path, uid_t user, gid_t group), (path, user, group), path_hit("chown", AT_FDCWD, path))
CALL(fchown, (int fd, uid_t user, gid_t group), (fd, user, group), descriptor_hit("chown", fd))
CALL(fchownat, (int dir, const char *path, uid_t user, gid_t group, int flags), (dir, path, user, group, flags),
     path_hit("chown", dir, path))
CALL(utimes, (const char *path, const struct timeval times[2]), (path, times), path_hit("utime", AT_FDCWD, path))
CALL(futimens, (int fd, const struct timespec times[2]), (fd, times), descriptor_hit("utime", fd))
CALL(utimensat, (int dir, const char *path, const struct timespec times[2], int flags), (dir, path, times, flags),
     path_hit("utime", dir, path))

CALL(connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length),
     address_hit("connect", address))
CALL(bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), address_hit("bind", address))

FAILING(pid_t, -1, fork, (void), (), bare_hit("fork"))
CALL(execve, (const char *path, char *const argv[], char *const env[]), (path, argv, env), path_hit("exec", AT_FDCWD, path))
CALL(execvp, (const char *path, char *const argv[]), (path, argv), path_hit("exec", AT_FDCWD, path))
FAILING(int, errno, posix_spawn,
	(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
	 const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const env[restrict]),
	(pid, path, actions, attributes, argv, env), path_hit("spawn", AT_FDCWD, path))
FAILING(int, errno, posix_spawnp,
	(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
	 const posix_spawnattr_t *restrict attributes, char *const argv[restrict], char *const env[restrict]),
	(pid, path, actions, attributes, argv, env), path_hit("spawn", AT_FDCWD, path))

/* What is opened for reading alone changes nothing. */
static int open_hit(int dir, const char *path, int flags)
{
	return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) && path_hit("open", dir, path);
}

#define OPEN(name)                                                                      \
	static int (*real_##name)(const char *, int, ...);                              \
	__attribute__((constructor)) static void find_##name(void)                      \
	{                                                                               \
		real_##name = dlsym(RTLD_NEXT, #name);                                  \
	}                                                                               \
	int name(const char *path, int flags, ...)                                      \
	{                                                                               \
		va_list more;                                                           \
		va_start(more, flags);                                                  \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
		va_end(more);                                                           \
		if (!real_##name)                                                       \
			find_##name();                                                  \
		return open_hit(AT_FDCWD, path, flags) ? -1 : real_##name(path, flags, mode); \
	}

#define OPENAT(name)                                                                    \
	static int (*real_##name)(int, const char *, int, ...);                         \
	__attribute__((constructor)) static void find_##name(void)                      \
	{                                                                               \
		real_##name = dlsym(RTLD_NEXT, #name);                                  \
	}                                                                               \
	int name(int dir, const char *path, int flags, ...)                             \
	{                                                                               \
		va_list more;                                                           \
		va_start(more, flags);                                                  \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
		va_end(more);                                                           \
		if (!real_##name)                                                       \
			find_##name();                                                  \
		return open_hit(dir, path, flags) ? -1 : real_##name(dir, path, flags, mode); \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
CALL(creat, (const char *path, mode_t mode), (path, mode), open_hit(AT_FDCWD, path, O_CREAT))
CALL(creat64, (const char *path, mode_t mode), (path, mode), open_hit(AT_FDCWD, path, O_CREAT))
