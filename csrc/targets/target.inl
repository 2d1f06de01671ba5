// The engine, once per instruction set. The including file has set the pragma and the macros:
//   CL_NAMESPACE, CL_NAME, CL_VECTOR_BYTES, CL_TILE_F32, CL_TILE_F32_SMALL, CL_TILE_F64
namespace cl {
namespace CL_NAMESPACE {
#include "../simd.hpp"
#include "../tile.hpp"
#include "../pack.hpp"
#include "../exact.hpp"
#include "../screen_pack.hpp"
#include "../argmin.hpp"
#include "../argmin_rows.hpp"
#include "../topk.hpp"
#include "../reduce_panel.hpp"
#include "../distances.hpp"
#include "../logsumexp.hpp"
#include "../logsumexp_rows.hpp"
#include "../threshold.hpp"
#include "../sinkhorn_math.hpp"
#include "../sinkhorn_rows.hpp"
#include "../sinkhorn_sweep.hpp"
#include "../sinkhorn_points.hpp"
#include "../sinkhorn_jobs.hpp"
#include "../sinkhorn_iterate.hpp"
#include "../sinkhorn_batch.hpp"
#include "../sinkhorn_batch_run.hpp"
#include "../scaling.hpp"
#include "../simplex_projection.hpp"
#include "../simplex_sweep.hpp"
#include "../mixture_cells.hpp"
#include "../mixture_math.hpp"
#include "../plsa_step.hpp"
#include "../mixture_weights.hpp"
#include "../tempered_posterior.hpp"
#include "../turned_rows.hpp"
#include "../hals_sweep.hpp"
#include "../masked_hals.hpp"
#include "../cost_rows.hpp"
#include "../row_lists.hpp"
#include "../shortest_paths.hpp"
#include "../capacity_rows.hpp"
#include "../largest.hpp"
#include "../row_sums.hpp"
#include "../softmax_rows.hpp"
#include "../scatter_leaf.hpp"

template <class T>
const Kernels<T> kernels = {argmin<T>, topk<T>, distances<T>, threshold<T>,
                            logsumexp<T>, sinkhorn_sweep<T>, sinkhorn_iterate<T>, sinkhorn_plan<T>,
                            sinkhorn_batch<T>, scaling<T>, gram<T>, simplex_projection<T>, simplex_sweep<T>,
                            steepest<T>, plsa_step<T>, mixture_weights<T>, tempered_posterior<T>,
                            hals_sweep<T>, masked_hals<T>, linear_assignment<T>, pair_costs<T>, row_norms<T>,
                            select_candidates<T>, largest_magnitude<T>, add_rows<T>,
                            row_softmax<T>, scatter_leaf<T>};

const Target table = {CL_NAME, kernels<float>, kernels<double>, soft_loads, kScatterShape};
}  // namespace CL_NAMESPACE
}  // namespace cl
