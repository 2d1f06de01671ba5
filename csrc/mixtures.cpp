// The mixture kernels: arrays become views here, the work is done once per instruction set.
#include "mixtures.hpp"

#include <algorithm>

#include "bind.hpp"
#include "targets.hpp"

namespace cl {
namespace {

// Rows and cells are the memory that is read: a table that lies about them is refused once more.
template <class T>
MixtureTable<T> table(const py::array& indptr, const py::array& indices, const py::array& data,
                      const py::array& H) {
  if (indptr.ndim() != 1 || indptr.size() == 0 || H.ndim() != 2) refuse("indptr and H", "have a wrong shape");
  const std::ptrdiff_t n = indptr.size() - 1, m = H.shape(0), k = H.shape(1), cells = indices.size();
  const MixtureTable<T> t{n, m, k, input<std::int64_t>(indptr, n + 1, "indptr"),
                          input<std::int32_t>(indices, cells, "indices"),
                          input<T>(data, cells, "data"), input<T>(H, m * k, "H")};
  if (k == 0 || t.indptr[0] != 0 || t.indptr[n] != cells) refuse("indptr", "must go from 0 to all cells");
  for (std::ptrdiff_t i = 0; i < n; ++i)
    if (t.indptr[i] > t.indptr[i + 1]) refuse("indptr", "must not decrease");
  check_indices(t.indices, cells, 0, m, "indices");
  return t;
}

template <class T>
double run_plsa(const py::array& indptr, const py::array& indices, const py::array& data,
                const py::array& W, const py::array& H, double beta, const py::array& leaves,
                py::array& W_sums, py::array& H_sums, int n_threads) {
  const MixtureTable<T> t = table<T>(indptr, indices, data, H);
  const std::ptrdiff_t bounds = leaves.size();
  const auto* bound = input<std::int64_t>(leaves, bounds, "leaves");
  if (bounds == 0 || bound[0] != 0 || bound[bounds - 1] != t.n || !std::is_sorted(bound, bound + bounds))
    refuse("leaves", "must rise from 0 to the number of rows");
  const PlsaJob<T> job{t, input<T>(W, t.n * t.k, "W"), beta,
                       bound, bounds - 1,
                       output<T>(W_sums, t.n * t.k, "W_sums"), output<T>(H_sums, t.m * t.k, "H_sums"),
                       n_threads};
  check_apart({indptr, indices, leaves}, {W_sums, H_sums});
  py::gil_scoped_release unlock;
  return active_target().kernels<T>().plsa_step(job);
}

double plsa_step(const py::array& indptr, const py::array& indices, const py::array& data,
                 const py::array& W, const py::array& H, double beta, const py::array& leaves,
                 py::array W_sums, py::array H_sums, int n_threads) {
  const auto run = has_dtype<float>(H) ? run_plsa<float> : run_plsa<double>;
  return run(indptr, indices, data, W, H, beta, leaves, W_sums, H_sums, n_threads);
}

template <class T>
void run_weights(const py::array& indptr, const py::array& indices, const py::array& data,
                 const py::array& H, std::int64_t max_iter, double tol, py::array& W,
                 py::array& n_iter, int n_threads) {
  const MixtureTable<T> t = table<T>(indptr, indices, data, H);
  const WeightsJob<T> job{t, max_iter, tol, output<T>(W, t.n * t.k, "W"),
                          output<std::int32_t>(n_iter, t.n, "n_iter"), n_threads};
  check_apart({indptr, indices}, {W, n_iter});
  py::gil_scoped_release unlock;
  active_target().kernels<T>().mixture_weights(job);
}

void mixture_weights(const py::array& indptr, const py::array& indices, const py::array& data,
                     const py::array& H, std::int64_t max_iter, double tol, py::array W,
                     py::array n_iter, int n_threads) {
  const auto run = has_dtype<float>(H) ? run_weights<float> : run_weights<double>;
  run(indptr, indices, data, H, max_iter, tol, W, n_iter, n_threads);
}

template <class T>
double run_posterior(const py::array& H, const py::array& D, const py::array& domains,
                     const py::object& neighbors, double floor, double tau, double beta,
                     const py::object& weight, std::ptrdiff_t leaf_rows,
                     py::object& responsibilities, py::object& posterior, py::array& counts,
                     py::array& totals, int n_threads) {
  if (H.ndim() != 2 || D.ndim() != 2 || H.shape(1) == 0 || D.shape(1) != H.shape(1))
    refuse("H and D", "must be matrices with as many columns");
  const std::ptrdiff_t n = H.shape(0), k = H.shape(1), r = D.shape(0);
  if (leaf_rows < 1) refuse("leaf_rows", "must be at least 1");
  const std::ptrdiff_t q = neighbors.is_none() ? 0 : columns_of(py::cast<py::array>(neighbors), "neighbors");
  const PosteriorJob<T> job{n, r, k, q, input<T>(H, n * k, "H"), input<T>(D, r * k, "D"),
                            input<std::int32_t>(domains, n, "domains"),
                            optional_input<std::int32_t>(neighbors, n * q, "neighbors"),
                            floor, tau, beta, optional_input<double>(weight, n, "weight"), leaf_rows,
                            optional_output<T>(responsibilities, n * k, "responsibilities"),
                            optional_output<T>(posterior, n * k, "posterior"),
                            output<double>(counts, r * k, "counts"),
                            output<double>(totals, r * k, "totals"), n_threads};
  check_apart({domains, neighbors}, {responsibilities, posterior, counts, totals});
  check_indices(job.domains, n, 0, r, "domains");
  check_indices(job.neighbors, n * q, 0, n, "neighbors");
  py::gil_scoped_release unlock;
  return active_target().kernels<T>().tempered_posterior(job);
}

double tempered_posterior(const py::array& H, const py::array& D, const py::array& domains,
                          const py::object& neighbors, double floor, double tau, double beta,
                          const py::object& weight, std::ptrdiff_t leaf_rows,
                          py::object responsibilities, py::object posterior, py::array counts,
                          py::array totals, int n_threads) {
  const auto run = has_dtype<float>(H) ? run_posterior<float> : run_posterior<double>;
  return run(H, D, domains, neighbors, floor, tau, beta, weight, leaf_rows, responsibilities,
             posterior, counts, totals, n_threads);
}

}  // namespace

void register_mixtures(py::module_& m) {
  m.def("plsa_step", &plsa_step, py::arg("indptr"), py::arg("indices"), py::arg("data"), py::arg("W"),
        py::arg("H"), py::arg("beta"), py::arg("leaves"), py::arg("W_sums"), py::arg("H_sums"),
        py::arg("n_threads"));
  m.def("mixture_weights", &mixture_weights, py::arg("indptr"), py::arg("indices"), py::arg("data"),
        py::arg("H"), py::arg("max_iter"), py::arg("tol"), py::arg("W"), py::arg("n_iter"),
        py::arg("n_threads"));
  m.def("tempered_posterior", &tempered_posterior, py::arg("H"), py::arg("D"), py::arg("domains"),
        py::arg("neighbors"), py::arg("floor"), py::arg("tau"), py::arg("beta"), py::arg("weight"),
        py::arg("leaf_rows"), py::arg("responsibilities"), py::arg("posterior"), py::arg("counts"),
        py::arg("totals"), py::arg("n_threads"));
}

}  // namespace cl
