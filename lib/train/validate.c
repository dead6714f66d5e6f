/*
 * Validation: a pipeline of its own yields a stream, the model as it is now
 * scores it, and what the examples say is right measures that.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "train/validate.h"

#define PATIENCE_MS 2000	/* between asking a command to end and making
				 * it end */

extern char **environ;

/* The process group that runs, and whether it is to end: a call to stop may come
 * before the group is known, whence one of the two always sees the other. */
static atomic_int running, stopping;

void
validate_stop(void)
{
	pid_t group;

	stopping = 1;
	if ((group = running) > 0)
		kill(-group, SIGTERM);
}

/* ---- the command ------------------------------------------------------------- */

/* *fd: what it writes. */
static int
start(pid_t *pid, int *fd, const char *command)
{
	char *argv[] = { "sh", "-c", (char *)(uintptr_t)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t all, none;
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cb_fail(CB_EIO, "pipe");
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null",
	    O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
	posix_spawnattr_init(&how);
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	error = posix_spawn(pid, "/bin/sh", &files, &how, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	close(ends[1]);
	if (error != 0) {
		close(ends[0]);
		errno = error;
		return cb_fail(CB_EIO, "/bin/sh");
	}
	running = *pid;
	if (stopping)
		validate_stop();
	*fd = ends[0];
	return 0;
}

/* Waits for the command; one that nobody listens to any more is ended. */
static int
reap(pid_t pid, bool end)
{
	const struct timespec wait = { .tv_nsec = 10000000 };
	int status, waited = 0;
	pid_t got;

	if (end)
		kill(-pid, SIGTERM);
	while ((got = waitpid(pid, &status, end ? WNOHANG : 0)) == 0 ||
	    (got < 0 && errno == EINTR)) {
		if (!end)
			continue;
		nanosleep(&wait, NULL);
		waited += 10;
		if (waited == PATIENCE_MS)
			kill(-pid, SIGKILL);
	}
	running = 0;
	if (end)	/* what the shell has left behind of its group */
		kill(-pid, SIGKILL);
	return status;
}

/* ---- its stream ---------------------------------------------------------------- */

static int
score_batch(struct cb_scorer *s, struct cb_measure *m,
    const struct cb_batch *b)
{
	char *lines = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&lines, &n);
	int rc;

	if (to == NULL)
		return cb_fail(CB_ENOMEM, "predictions");
	rc = cb_scorer_batch(s, b, 1, to);
	if (fclose(to) != 0 && rc == 0)
		rc = cb_fail(CB_ENOMEM, "predictions");
	if (rc == 0)
		rc = cb_measure_add(m, b, lines);
	free(lines);
	return rc;
}

static int
score_all(struct cb_scorer *s, struct cb_measure *m, struct cb_feed *feed,
    int fd)
{
	struct cb_ahead *a;
	struct cb_batch *b;
	int64_t rows = 0;
	int rc;

	if (cb_ahead_open(&a, feed, fd, cb_scorer_engine(s)) < 0)
		return -1;
	while ((rc = cb_ahead_next(a, &b)) > 0) {
		cb_ahead_expect(a);
		rc = score_batch(s, m, b);
		rows += b->N;
		cb_ahead_done(a, b);
		if (rc < 0)
			break;
		cb_progress("validation: %lld texts", (long long)rows);
	}
	cb_ahead_close(a);
	return rc;
}

static int
measure(json_t **metrics, struct cb_figure *f, struct cb_scorer *s,
    struct cb_feed *feed, int fd)
{
	const msgpack_object *header = &cb_feed_header(feed)->root, *v;
	struct cb_measure *m = NULL;
	json_t *answers = NULL;
	char *task = NULL;
	int rc = -1;

	if (cb_map_text(header, "task", &task) < 0)
		return cb_fail(CB_EFORMAT, "the stream names no task");
	if ((v = cb_map_get(header, "answers")) != NULL)
		answers = cb_obj_json(v);
	if (cb_measure_new(&m, task, answers) == 0 &&
	    score_all(s, m, feed, fd) == 0)
		rc = cb_measure_end(metrics, f, m);
	cb_measure_free(m);
	json_decref(answers);
	free(task);
	return rc;
}

int
validate_run(json_t **metrics, struct cb_figure *f, int64_t *skipped,
    struct cb_scorer *s, const char *command)
{
	const struct cb_settings *c = cb_scorer_settings(s);
	struct cb_feed_options o = { .groups = c->val_batch_size,
	    .max_len = c->max_txt_len, .vocab = cb_scorer_vocab(s),
	    .mask = cb_scorer_masks(s), .keep = CB_AHEAD };
	struct cb_feed *feed = NULL;
	int fd = -1, rc, status;
	pid_t pid;

	*metrics = NULL;
	*skipped = 0;
	if (start(&pid, &fd, command) < 0)
		return -1;
	if ((rc = cb_feed_open(&feed, fd, "validation", &o)) == 0) {
		rc = measure(metrics, f, s, feed, fd);
		*skipped = cb_feed_skipped(feed);
	}
	cb_feed_close(feed);
	close(fd);
	status = reap(pid, rc < 0);
	if (rc == 0 && status != 0 && *skipped == 0) {
		json_decref(*metrics);
		*metrics = NULL;
		rc = WIFSIGNALED(status) ? cb_fail(CB_EFORMAT, "the command "
		    "was ended by signal %d", WTERMSIG(status)) :
		    cb_fail(CB_EFORMAT, "the command's exit status is %d",
		    WEXITSTATUS(status));
	}
	return rc;
}
