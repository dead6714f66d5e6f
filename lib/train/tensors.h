/*
 * Files of named tensors, whatever program wrote them: safetensors, PyTorch's
 * .pt .pth .bin (a zip archive, or before 1.6 a row of pickles), and plain
 * pickles of numpy arrays (detectron2's .pkl).  The format is told by the first
 * bytes, never by the name of the file.
 */
#ifndef CB_TENSORS_H
#define CB_TENSORS_H

#include "base/safetensors.h"

/*
 * The tensors stand in the order of the file.  Names and arrays are borrowed
 * and valid until close; data is read-only, dense, and aligned to its element
 * size.  Element types that cb_dtype has not are widened: bool to U8, 8 and 16
 * bits to I32, unsigned 32 bits to I64.
 *
 * A pickle may hold more than weights (epoch, optimizer).  Where its dict has
 * one called model, state_dict or the like, the tensors are those in there, and
 * `inside` is its name; elsewhere it is "".  Dicts in dicts give names with dots.
 */
struct cb_tensors {
	const char *path;
	const char *format;	/* "safetensors", "PyTorch zip", ... */
	const char *inside;
	bool	 torchvision;	/* detectron2 says that it is from there */
	const struct cb_tensor *at;
	int	 n;
	struct cb_tensors_hold *hold;	/* private: what to close */
};

/*
 * Pickles are programs; ours are not run.  The reader knows tensors and
 * containers, and what asks for any other thing is refused by its name:
 * "evil.pt: wants os.system: refused".
 */
int	cb_tensors_open(struct cb_tensors **out, const char *path);

/* The same from memory, which is borrowed until close; path: for messages. */
int	cb_tensors_parse(struct cb_tensors **out, const void *data,
	    int64_t bytes, const char *path);
void	cb_tensors_close(struct cb_tensors *f);

/* An open safetensors file seen as one of these; nothing to close. */
void	cb_tensors_view(struct cb_tensors *out,
	    const struct cb_safetensors *f);

/* By name; NULL where there is none. */
const struct cb_array *cb_tensors_find(const struct cb_tensors *f,
	    const char *name);

#endif
