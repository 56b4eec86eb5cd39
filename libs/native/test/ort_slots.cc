// Compiled, never run, when INTERLEAVE_ORT_HEADERS names a directory with a real onnxruntime_c_api.h: the slots of
// src/session/ort_api.h are where that header has them.
#include <onnxruntime_c_api.h>

#include <cstddef>

#include "session/ort_api.h"

namespace {

#define INTERLEAVE_ORT_CHECK(slot, result, name, parameters) \
  static_assert(offsetof(OrtApi, name) == (slot) * sizeof(void*), #name " is not in slot " #slot);
INTERLEAVE_ORT_FUNCTIONS(INTERLEAVE_ORT_CHECK)
#undef INTERLEAVE_ORT_CHECK

}  // namespace
