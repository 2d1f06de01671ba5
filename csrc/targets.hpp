// One table of functions per instruction set; the best one the machine has is chosen once.
#pragma once
#include <cstdint>

#include "views.hpp"

namespace cl {

// Groups of rows of Y that have a lower bound each: clusterlib.kernels.centers.BOUND_GROUPS.
inline constexpr int kBoundGroups = 16;

// What bounds were worth: rows that had some, and rows that they kept where they were.
struct BoundCounts {
  std::ptrdiff_t bounded = 0, kept = 0;
};

template <class T>
struct ArgminJob {
  Matrix<T> X, Y;
  Metric metric;
  std::int32_t* labels;
  T* distances;  // may be null
  int threads;
  // With bounds (squared distances only), all null or none: upper (n) and lower (n, 16) bound the
  // distance to the labelled row of Y and to groups of others, moves (m) what Y has moved since.
  float *upper = nullptr, *lower = nullptr;
  const float* moves = nullptr;
  bool sample = false;              // write bounds for some rows only, enough to see if they pay
  BoundCounts* counts = nullptr;
};

template <class T>
struct TopkJob {
  Matrix<T> X, Y;
  Metric metric;
  std::ptrdiff_t k;
  T* distances;           // (n, k)
  std::int32_t* indices;  // (n, k)
  int threads;
};

template <class T>
struct DistancesJob {
  Matrix<T> X, Y;
  Metric metric;
  T* out;  // (n, m), rows `out_stride` apart
  std::ptrdiff_t out_stride;
  int threads;
};

template <class T>
struct ThresholdJob {
  Matrix<T> X, Y;
  Metric metric;
  const double* threshold;  // (n)
  std::int64_t* counts;  // (n)
  int threads;
};

template <class T>
struct LogsumexpJob {
  Matrix<T> X, Y;
  Metric metric;
  const double* inverse_temperature;  // (n)
  const double* log_weight;           // (m) or null
  const std::int32_t *x_group, *y_group;
  int mask;        // 0 everything, 1 the same group only, 2 other groups only
  const T* values;  // (m, q) or null
  std::ptrdiff_t q;
  T* out;       // (n)
  T* weighted;  // (n, q) or null
  int threads;
};

// Optimal transport between n rows and m columns, `sides` problems that share the cost. With
// `points` the cost is metric(X_i, Y_j) and never stored, else it is the matrix X.
template <class T>
struct SinkhornJob {
  Matrix<T> X, Y;
  Metric metric = Metric::sqeuclidean;
  bool points = false, precise = false, update_f = true;
  bool scores = false;  // X holds minus the cost
  double epsilon = 1;
  std::ptrdiff_t n = 0, m = 0, sides = 1;
  const double *log_a = nullptr, *log_b = nullptr;  // (sides, n), (sides, m)
  double *f = nullptr, *g = nullptr;
  double tau_a = 1, tau_b = 1, f_max = 0, relaxation = 1, tol = 0;
  std::ptrdiff_t n_iters = 0;
  int threads = 0;
  double* column_sums = nullptr;     // (sides, m)
  double* history = nullptr;         // (sides, n_iters, 2): error, dual
  std::ptrdiff_t* n_done = nullptr;
  T* plan = nullptr;                 // (n, m), may be X itself
  double* row_sums = nullptr;        // (n), with the plan
  const double* row_weight = nullptr;
  double* column_squares = nullptr;  // (m)
};

// `batch` problems of p rows and q columns, one after the other.
template <class T>
struct BatchJob {
  const T* C;  // (batch, p, q)
  std::ptrdiff_t batch, p, q;
  const double *epsilon, *log_a, *log_b;  // (batch), (batch, p), (batch, q)
  double *f, *g;
  double tau_a, tau_b;
  std::ptrdiff_t max_iter;
  double tol;
  std::int32_t* n_iter;  // (batch)
  double* error;         // (batch)
  int threads;
};

// Scaling iterations on a kernel matrix K, in the type of K.
template <class T>
struct ScalingJob {
  Matrix<T> K;
  const double *a, *b;  // (n), (m)
  double *u, *v;
  double relaxation, tol, limit;
  std::ptrdiff_t n_iters;
  double* history;  // (n_iters)
  std::ptrdiff_t* n_done;
  int threads;
};

// product = K' diag(weight) K vector.
template <class T>
struct GramJob {
  Matrix<T> K;
  const double *weight, *vector;
  double* product;
  int threads;
};

// Rows of a tile, and tiles of a leaf, of the descent on the simplex: clusterlib.kernels.leaves.
inline constexpr std::ptrdiff_t kTileRows = 16, kDescentTiles = 64;

template <class T>
struct ProjectionJob {
  Matrix<T> V;
  T* out;  // (rows, cols)
  int threads;
};

// next = the projection of keep W + base + length (X C + scale linear) in `metric`, for each column:
// a step along the gradient offset + slope W - X C - scale linear, multiplied out. Without `next` the
// sums are those of W.
template <class T>
struct StepJob {
  std::ptrdiff_t n, p, r, groups;
  const T *X, *W;  // tiles of p and r columns; rows that are missing in the last one are 0
  T* next;
  const T* linear;            // tiles of `groups` columns, or null
  const std::int32_t* group;  // (r)
  const T* C;                 // (p, r)
  const T *keep, *base, *length, *metric, *inverse;  // (r); inverse = 1 / metric
  T scale;
  // (r, p + 6) with D = next - W, or W without `next`: X'D, sums of D, D^2, D W and linear D, then of
  // W + D and of its squares.
  double* sums;
  int threads;
};

// Coordinate descent on non-negative rows of W: leaves of kSweepRows rows, n_sweeps sums.
template <class T>
struct HalsJob {
  std::ptrdiff_t n, k;
  T* W;             // (n, k)
  Matrix<T> R;      // (n, k)
  const double* G;  // (k, k)
  std::ptrdiff_t n_sweeps;
  double* moves;  // (n_sweeps)
  int threads;
};

// Rows of a leaf of the same with weights of cells: clusterlib.kernels.leaves.MASKED_ROWS.
inline constexpr std::ptrdiff_t kMaskedRows = 32;

template <class T>
struct MaskedHalsJob {
  std::ptrdiff_t n, k;
  T* W;            // (n, k)
  Matrix<T> X, V;  // (n, m)
  const T* H;      // (k, m)
  double l1, l2;
  std::ptrdiff_t n_sweeps;
  double* sums;  // (1 + n_sweeps): the loss, then the moves
  int threads;
};

// Adds rows [begin, end) to the sums of their clusters, one after the other.
template <class T>
struct RowSums {
  Matrix<T> X;
  const std::int32_t* labels;  // negative: skipped
  const double* weight;        // null: 1
};

// Columns [first, first + columns) by [second, second + other_columns) of the scatter of one class.
template <class T>
struct ScatterBlock {
  Matrix<T> X;
  const std::ptrdiff_t* rows;  // of the class
  const double* weight;        // null: 1
  const double* mean;          // (d)
  std::ptrdiff_t first, columns, stride;
  std::ptrdiff_t second, other_columns, other_stride;
};

// What the columns of such a block are padded to, and rows that are gathered at a time.
struct ScatterShape {
  std::ptrdiff_t lanes, scalars, depth;
};

template <class T>
struct SoftmaxJob {
  Matrix<T> scores;     // (n, k)
  const T* log_weight;  // (k) or null
  T *posteriors, *lse;  // (n, k), may be the scores; (n)
  std::int32_t* labels;  // (n) or null
  int threads;
};

// Sums of products of numbers up to 1 that count as 0: clusterlib.kernels.leaves has the same.
inline constexpr double kLeastShare = 0x1p-300;

// A table in compressed rows, n x m, and the factors of its mixture.
template <class T>
struct MixtureTable {
  std::ptrdiff_t n, m, k;
  const std::int64_t* indptr;   // (n + 1)
  const std::int32_t* indices;  // columns of cells
  const T* data;
  const T* H;  // (m, k)
};

template <class T>
struct PlsaJob {
  MixtureTable<T> table;
  const T* W;  // (n, k)
  double beta;
  const std::int64_t* leaves;  // bounds of the runs of rows that are summed apart
  std::ptrdiff_t n_leaves;
  T *W_sums, *H_sums;
  int threads;
};

template <class T>
struct WeightsJob {
  MixtureTable<T> table;
  std::int64_t max_iter;
  double tol;
  T* W;                  // (n, k), in and out
  std::int32_t* n_iter;  // (n)
  int threads;
};

template <class T>
struct PosteriorJob {
  std::ptrdiff_t n, r, k, q;
  const T *H, *D;                  // (n, k), (r, k)
  const std::int32_t* domains;     // (n)
  const std::int32_t* neighbors;   // (n, q) or null
  double floor, tau, beta;
  const double* weight;  // (n) or null
  std::ptrdiff_t leaf_rows;
  T *responsibilities, *posterior;  // (n, k) or null
  double *counts, *totals;          // (r, k)
  int threads;
};

// What came of a linear assignment: clusterlib.kernels.linear_assignment explains it.
enum class LinearStatus : int { ok = 0, bad_cost = 1, infeasible = 2, interrupted = 3 };

// A column for every row of sign * C, n <= m, at the least cost.
template <class T>
struct LinearJob {
  Matrix<T> C;            // columns next to each other; plus infinity after the sign: no pair
  double sign;            // 1 or -1
  std::int64_t* columns;  // (n)
  double *u, *v;          // (n), (m)
  bool (*go_on)();        // asked now and then
};

// Costs of one row of X and chosen rows of Y; Y has contiguous rows.
template <class T>
struct PairsJob {
  Matrix<T> X, Y;
  Metric metric;
  const double* norms;  // (Y.rows), cosine only
  const std::int32_t* columns;
  std::ptrdiff_t count;
  double* out;
};

// The columns of each row whose cost + price is close to the smallest one.
template <class T>
struct SelectJob {
  const T* costs;  // (count, k)
  std::ptrdiff_t count, k;
  const T* prices;  // (k)
  T reach;            // how close
  bool at_least_two;  // columns, whatever their price
  std::ptrdiff_t m;
  std::int32_t *index, *filled;  // (count, m), (count)
  T* bound;  // (count): cost + price of the others is at least this above the smallest cost
  T* least;  // (count): that cost
  // Moves the m smallest of `count` values and their columns to the front; the smallest other value.
  T (*keep)(T* values, std::int32_t* columns, std::ptrdiff_t count, std::ptrdiff_t m, T* work);
  T* scratch;  // 4 k + 64
};

// Lists of up to m columns for each row, with their costs.
struct SoftJob {
  std::ptrdiff_t m, k;
  const std::int32_t *index, *filled;  // (n, m), (n)
  const double* cost;                  // (n, m)
  const double* prices;                // (k)
  double epsilon;
};

template <class T>
struct Kernels {
  Status (*argmin)(const ArgminJob<T>&);
  Status (*topk)(const TopkJob<T>&);
  Status (*distances)(const DistancesJob<T>&);
  Status (*threshold)(const ThresholdJob<T>&);
  Status (*logsumexp)(const LogsumexpJob<T>&);
  Status (*sinkhorn_sweep)(const SinkhornJob<T>&);
  Status (*sinkhorn_iterate)(const SinkhornJob<T>&);
  Status (*sinkhorn_plan)(const SinkhornJob<T>&);
  void (*sinkhorn_batch)(const BatchJob<T>&);
  void (*scaling)(const ScalingJob<T>&);
  void (*gram)(const GramJob<T>&);
  void (*simplex_projection)(const ProjectionJob<T>&);
  void (*simplex_sweep)(const StepJob<T>&);
  double (*steepest)(const StepJob<T>&);
  double (*plsa_step)(const PlsaJob<T>&);
  void (*mixture_weights)(const WeightsJob<T>&);
  double (*tempered_posterior)(const PosteriorJob<T>&);
  void (*hals_sweep)(const HalsJob<T>&);
  void (*masked_hals)(const MaskedHalsJob<T>&);
  LinearStatus (*linear_assignment)(const LinearJob<T>&);
  void (*pair_costs)(const PairsJob<T>&);
  void (*row_norms)(const Matrix<T>&, double* norms);
  void (*select_candidates)(const SelectJob<T>&);
  double (*largest)(const Matrix<T>&, std::ptrdiff_t begin, std::ptrdiff_t end);
  void (*add_rows)(const RowSums<T>&, std::ptrdiff_t begin, std::ptrdiff_t end, double* sums,
                   double* weights);
  void (*row_softmax)(const SoftmaxJob<T>&);
  // Adds rows [begin, end) of a class to other_stride rows of `stride` sums, and on the diagonal the
  // weighted sums of the columns after them. scratch: depth (stride + other_stride).
  void (*scatter_leaf)(const ScatterBlock<T>&, std::ptrdiff_t begin, std::ptrdiff_t end, double* sums,
                       double* scratch);
};

struct Target {
  const char* name;
  Kernels<float> f32;
  Kernels<double> f64;
  void (*soft_loads)(const SoftJob&, std::ptrdiff_t begin, std::ptrdiff_t end, std::int64_t* loads,
                     std::int64_t* common, float* scratch);
  ScatterShape scatter;
  template <class T>
  const Kernels<T>& kernels() const;
};
template <>
inline const Kernels<float>& Target::kernels<float>() const { return f32; }
template <>
inline const Kernels<double>& Target::kernels<double>() const { return f64; }

// Null when this build or this machine does not have the level.
const Target* baseline_target();
const Target* avx2_target();
const Target* avx512_target();
const Target* avx512_vnni_target();
const Target* neon_target();

const Target& active_target();
// False when the level is unknown here.
bool set_active_target(const char* name);

}  // namespace cl
