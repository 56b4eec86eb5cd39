#pragma once

#include "session/ort_api.h"
#include "session/session.h"

namespace interleave {

// Opens the model file as all sessions of a worker are: see the options in the .cc. Outputs of ZipMap nodes are
// replaced by their tensors (zip_map.h). Runs compute on the caller's thread and those of `team`. Throws ort::OrtError
// with the runtime's reason.
ort::Owned<ort::SessionHandle> OpenSession(const ort::OrtLibrary& library, const ModelOptions& model, ThreadTeam& team);

}  // namespace interleave
