// class_moments: scatters of classes, block by block. The rows of a class are cut into leaves, whose
// sums are merged by the fixed pairwise tree, so that neither the blocks nor the threads change a bit.
#include "moments.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "bind.hpp"
#include "parallel.hpp"
#include "sum_tree.hpp"
#include "targets.hpp"

namespace cl {
namespace {

constexpr std::ptrdiff_t kLeafRows = 4096;  // clusterlib.kernels.leaves.LEAF_ROWS
constexpr std::ptrdiff_t kWidestBlock = 256, kNarrowestBlock = 64;

std::ptrdiff_t round_to(std::ptrdiff_t x, std::ptrdiff_t step) { return (x + step - 1) / step * step; }

// Rows of each class in rising order, one class after the other.
struct SortedRows {
  std::vector<std::ptrdiff_t> starts, rows;
  SortedRows(const std::int32_t* labels, std::ptrdiff_t n, std::ptrdiff_t k)
      : starts(static_cast<std::size_t>(k) + 1) {
    for (std::ptrdiff_t i = 0; i < n; ++i)
      if (labels[i] >= 0) ++starts[static_cast<std::size_t>(labels[i]) + 1];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    rows.resize(static_cast<std::size_t>(starts.back()));
    std::vector<std::ptrdiff_t> place(starts.begin(), starts.end() - 1);
    for (std::ptrdiff_t i = 0; i < n; ++i)
      if (labels[i] >= 0) rows[static_cast<std::size_t>(place[static_cast<std::size_t>(labels[i])]++)] = i;
  }
};

struct Block {
  std::ptrdiff_t label, first, second;
};

template <class T>
class Scatters {
 public:
  Scatters(const Matrix<T>& X, const std::int32_t* labels, const double* weight, std::ptrdiff_t k,
           const double* weights, double* means, double* scatters, int threads)
      : X_(X), weight_(weight), weights_(weights), means_(means), scatters_(scatters), k_(k),
        requested_(threads), threads_(resolve_threads(threads, X.rows)), sorted_(labels, X.rows, k),
        residuals_(static_cast<std::size_t>(k * X.cols)), shape_(active_target().scatter) {}

  void run() {
    // Classes of many leaves are summed by all threads, the others are shared among them.
    std::vector<Block> shared;
    const std::ptrdiff_t many = 2 * threads_ * kLeafRows;
    std::ptrdiff_t few = 0;
    for (std::ptrdiff_t c = 0; c < k_; ++c) few += rows_of(c) <= many ? 1 : 0;
    width_ = kWidestBlock;
    while (threads_ > 1 && width_ > kNarrowestBlock && few > 0 && few * blocks_of_class() < 4 * threads_)
      width_ /= 2;
    const std::size_t bytes = sizeof(double) * static_cast<std::size_t>(
        (round_to(width_, shape_.lanes) + round_to(width_, shape_.scalars)) * shape_.depth);
    Scratch scratch(bytes, threads_);
    scratch_ = &scratch;
    for (std::ptrdiff_t c = 0; c < k_; ++c)
      for (std::ptrdiff_t i = 0; i < X_.cols; i += width_)
        for (std::ptrdiff_t j = 0; j <= i; j += width_)
          if (rows_of(c) > many)
            sum_block({c, i, j}, threads_, 0);
          else
            shared.push_back({c, i, j});
    shared_ = shared.data();
    const auto blocks = static_cast<std::ptrdiff_t>(shared.size());
    parallel_for(blocks, 1, threads_,
                 [](void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
                   auto& s = *static_cast<Scatters*>(context);
                   for (std::ptrdiff_t b = begin; b < end; ++b) s.sum_block(s.shared_[b], 1, worker);
                 },
                 this);
    parallel_for(k_, 1, resolve_threads(requested_, k_),
                 [](void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int) {
                   for (std::ptrdiff_t c = begin; c < end; ++c) static_cast<Scatters*>(context)->correct(c);
                 },
                 this);
  }

 private:
  struct Leaves {
    ScatterBlock<T> block;
    std::ptrdiff_t count;
    Scatters* owner;
    int worker;  // of the caller, where the leaves are summed by one thread
  };

  std::ptrdiff_t rows_of(std::ptrdiff_t c) const {
    return sorted_.starts[static_cast<std::size_t>(c) + 1] - sorted_.starts[static_cast<std::size_t>(c)];
  }
  std::ptrdiff_t blocks_of_class() const {
    const std::ptrdiff_t blocks = (X_.cols + width_ - 1) / width_;
    return blocks * (blocks + 1) / 2;
  }

  static void add_leaf(void* context, std::ptrdiff_t leaf, double* sums, int worker) {
    const auto& l = *static_cast<const Leaves*>(context);
    char* scratch = l.owner->scratch_->slice(l.worker + worker);
    active_target().kernels<T>().scatter_leaf(l.block, leaf * kLeafRows,
                                              std::min(l.count, (leaf + 1) * kLeafRows), sums,
                                              reinterpret_cast<double*>(scratch));
  }

  void sum_block(const Block& b, int threads, int worker) {
    const std::ptrdiff_t d = X_.cols;
    const std::ptrdiff_t columns = std::min(width_, d - b.first), others = std::min(width_, d - b.second);
    ScatterBlock<T> block{X_, sorted_.rows.data() + sorted_.starts[static_cast<std::size_t>(b.label)],
                          weight_, means_ + b.label * d, b.first, columns,
                          round_to(columns, shape_.lanes), b.second, others,
                          round_to(others, shape_.scalars)};
    Leaves leaves{block, rows_of(b.label), this, worker};
    const std::ptrdiff_t count = (leaves.count + kLeafRows - 1) / kLeafRows;
    const bool diagonal = b.first == b.second;
    const std::ptrdiff_t size = block.stride * (block.other_stride + (diagonal ? 1 : 0));
    std::vector<double> total(static_cast<std::size_t>(size));
    sum_over_leaves(count, size, std::min<int>(threads, resolve_threads(threads, count)), add_leaf,
                    &leaves, total.data());
    double* out = scatters_ + b.label * d * d;
    for (std::ptrdiff_t j = 0; j < others; ++j)
      for (std::ptrdiff_t i = diagonal ? j : 0; i < columns; ++i) {
        const double s = total[static_cast<std::size_t>(j * block.stride + i)];
        out[(b.second + j) * d + b.first + i] = s;
        out[(b.first + i) * d + b.second + j] = s;
      }
    if (diagonal)
      std::copy_n(total.data() + block.stride * block.other_stride, columns,
                  residuals_.data() + b.label * d + b.first);
  }

  // S - r r' / W is the scatter about m + r / W.
  void correct(std::ptrdiff_t c) {
    const std::ptrdiff_t d = X_.cols;
    const double weight = weights_[c];
    const double* r = residuals_.data() + c * d;
    double* s = scatters_ + c * d * d;
    for (std::ptrdiff_t a = 0; a < d; ++a) {
      for (std::ptrdiff_t b = 0; weight > 0 && b < d; ++b) s[a * d + b] -= r[a] * r[b] / weight;
      if (s[a * d + a] < 0) s[a * d + a] = 0;
      if (weight > 0) means_[c * d + a] += r[a] / weight;
    }
  }

  Matrix<T> X_;
  const double *weight_, *weights_;
  double *means_, *scatters_;
  std::ptrdiff_t k_;
  int requested_, threads_;
  SortedRows sorted_;
  std::vector<double> residuals_;
  ScatterShape shape_;
  std::ptrdiff_t width_ = 0;
  Scratch* scratch_ = nullptr;
  const Block* shared_ = nullptr;
};

template <class T>
void run_moments(const py::array& X, const py::array& labels, const py::object& sample_weight,
                 const py::array& weights, py::array& means, py::array& scatters, int n_threads) {
  const Matrix<T> x = matrix<T>(X, "X");
  const std::ptrdiff_t k = weights.size(), d = x.cols;
  const std::int32_t* label = input<std::int32_t>(labels, x.rows, "labels");
  const double* weight = optional_input<double>(sample_weight, x.rows, "sample_weight");
  const double* w = input<double>(weights, k, "weights");
  double* m = output<double>(means, k * d, "means");
  double* s = output<double>(scatters, k * d * d, "scatters");
  check_indices(label, x.rows, std::numeric_limits<std::int32_t>::min(), k, "labels",
                "must be below the number of classes");
  py::gil_scoped_release unlock;
  Scatters<T>(x, label, weight, k, w, m, s, n_threads).run();
}

void class_moments(const py::array& X, const py::array& labels, const py::object& sample_weight,
                   const py::array& weights, py::array means, py::array scatters, int n_threads) {
  const auto run = has_dtype<float>(X) ? run_moments<float> : run_moments<double>;
  run(X, labels, sample_weight, weights, means, scatters, n_threads);
}

}  // namespace

void register_moments(py::module_& m) {
  m.def("class_moments", &class_moments, py::arg("X"), py::arg("labels"), py::arg("sample_weight"),
        py::arg("weights"), py::arg("means"), py::arg("scatters"), py::arg("n_threads"));
}

}  // namespace cl
