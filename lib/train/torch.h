/*
 * Private to the reader of tensors: tensors.c has what all files have in common,
 * torch.c where those of PyTorch keep their numbers.
 */
#ifndef CB_TORCH_H
#define CB_TORCH_H

#include "pickle.h"
#include "tensors.h"

struct cb_tensors_hold {
	struct cb_tensors pub;
	char *path;
	void *map;
	const uint8_t *data;
	int64_t bytes;
	struct cb_safetensors *safe;
	struct cb_pickle pickle;
	struct cb_zip_entry *entries;
	int nentries;
	struct cb_tensor *list;
	void **copies;		/* [room] mostly NULL */
	int room;
	int64_t budget;		/* bytes that tensors may still have */
	int values;		/* looked at */
};

/* Lists all tensors in the value of a pickle whose storages are known. */
int	tensors_walk(struct cb_tensors_hold *h, const struct cb_value *root);

/* A zip archive with data.pkl and data/KEY. */
int	torch_open_zip(struct cb_tensors_hold *h);

/* A pickle on its own, or magic, protocol, system, weights, storage keys and
 * then the storages. */
int	torch_open_pickle(struct cb_tensors_hold *h);

#endif
