/* settings FILE|- [key=value...]: the effective settings as JSON, or why not. */
#include <stdlib.h>
#include <string.h>

#include "task/settings.h"

int
main(int argc, char **argv)
{
	struct cb_settings s, back;
	json_t *v, *again;
	char *text;
	int i;

	cb_program_set(argv[0]);
	if (argc < 2)
		return 2;
	if ((strcmp(argv[1], "-") == 0 ? cb_settings_init(&s) :
	    cb_settings_load(&s, argv[1])) < 0)
		return cb_complain();
	for (i = 2; i < argc; i++)
		if (cb_settings_set(&s, argv[i]) < 0)
			goto bad;
	if (cb_settings_check(&s) < 0)
		goto bad;
	v = cb_settings_json(&s);
	text = cb_json_exact(v, JSON_INDENT(1));
	puts(text);
	/* What is written is read as the same. */
	if (cb_settings_parse(&back, v, "again") < 0)
		goto bad;
	again = cb_settings_json(&back);
	i = json_equal(v, again) ? 0 : 3;
	json_decref(v);
	json_decref(again);
	free(text);
	cb_settings_clear(&back);
	cb_settings_clear(&s);
	return i;
bad:
	cb_settings_clear(&s);
	return cb_complain();
}
