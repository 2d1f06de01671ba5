// Everything that the targets include, before any pragma: an inline function of the standard
// library must not be compiled for an instruction set that not every machine has.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define CL_X86 1
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "../parallel.hpp"
#include "../screening.hpp"
#include "../sum_tree.hpp"
#include "../targets.hpp"
#include "../views.hpp"
