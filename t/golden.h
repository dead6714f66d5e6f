/* The videos that the rows of golden/sampling.jsonl are about, in turn. */
#ifndef GOLDEN_H
#define GOLDEN_H
#include <stdlib.h>
#include <string.h>

#include "media/media.h"

static struct cb_media *media;	/* of the last row; NULL: does not open */
static char *media_name;
static int64_t media_files;	/* tried so far */

/* Rows of one file follow each other: it is opened once. */
static inline int
open_media(const char *dir, const char *file)
{
	struct cb_source src = { .name = file };
	char *path;

	if (media_name != NULL && strcmp(media_name, file) == 0)
		return media != NULL ? 0 : -1;
	cb_media_close(media);
	free(media_name);
	media = NULL;
	media_name = cb_strf("%s", file);
	src.path = path = cb_strf("%s/videos/%s", dir, file);
	if (cb_media_open(&media, &src, NULL) < 0)
		cb_warn("%s", cb_error());
	free(path);
	media_files++;
	return media != NULL ? 0 : -1;
}

static inline void
close_media(void)
{
	cb_media_close(media);
	free(media_name);
}

#endif
