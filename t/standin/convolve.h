/*
 * convolve: a convolution as cudnn.cpp understood it, and its arithmetic.
 */
#ifndef CB_STANDIN_CONVOLVE_H
#define CB_STANDIN_CONVOLVE_H

#include "product.h"

namespace cbsim {

/* dim as cuDNN counts them: [n,c,h,w], whatever lies where. */
struct Tensor {
	int64_t	 id, dim[4];
	Elem	 type;
	bool	 between;		/* virtual: has no memory */

	size_t count() const
	{
		return (size_t)(dim[0] * dim[1] * dim[2] * dim[3]);
	}
	size_t bytes() const { return count() * elem_bytes(type); }
};

/* y is the result of all that is fused, of the shape of the convolution's. */
struct Graph {
	enum { FORWARD, DATA, FILTER } way;
	Tensor	 x, w, y;
	int64_t	 pad, stride;
	float	 beta;
	bool	 res, bias, relu;
	int64_t	 id_res, id_bias;
};

struct Convolution {
	Graph	 g;
	void	*x, *w, *y;
	const void *bias, *res;
	void	*space;
	size_t	 space_bytes;
	bool	 tf32;
};

/* On the stream, as an operation that runs. */
void	convolve(const Convolution &c);

} /* namespace cbsim */

#endif
