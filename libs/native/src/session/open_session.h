#pragma once

#include "session/ort_api.h"
#include "session/session.h"

namespace interleave {

// Opens the model file as all sessions of a worker are: see the options in the .cc. Outputs of ZipMap nodes are
// replaced by their tensors (zip_map.h). Throws ort::OrtError with the runtime's reason.
ort::Owned<ort::SessionHandle> OpenSession(const ort::OrtLibrary& library, const ModelOptions& model);

}  // namespace interleave
