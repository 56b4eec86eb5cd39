#include "session/open_session.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "session/zip_map.h"

namespace interleave {
namespace {

constexpr int kSequential = 0;
constexpr int kOptimizeAll = 99;
constexpr int kOnnxTensor = 1;
// Errors come back as statuses and say which input was at fault: a client must not be able to fill the log.
constexpr int kLogFatal = 4;

// Threads are those of the executor and its team, each pinned to a CPU of its own. No memory patterns: the runtime
// keeps one per combination of input shapes, and ours differ from run to run.
ort::Owned<ort::SessionOptions> OptionsFor(const ort::OrtLibrary& library, const ModelOptions& model,
                                           ThreadTeam& team) {
  const ort::Functions& api = library.api();
  ort::SessionOptions* raw = nullptr;
  library.Check(api.CreateSessionOptions(&raw));
  ort::Owned<ort::SessionOptions> options(raw, api.ReleaseSessionOptions);
  library.Check(api.SetSessionExecutionMode(raw, kSequential));
  library.Check(api.SetInterOpNumThreads(raw, 1));
  library.Check(api.SetSessionGraphOptimizationLevel(raw, kOptimizeAll));
  library.Check(api.SetSessionLogSeverityLevel(raw, kLogFatal));
  library.Check(api.EnableCpuMemArena(raw));
  library.Check(api.DisableMemPattern(raw));
  library.Check(api.AddSessionConfigEntry(raw, "session.inter_op.allow_spinning", "0"));
  team.AppendTo(raw, library);
  if (model.cuda != nullptr) model.cuda->AppendTo(raw, library);
  return options;
}

bool HasOnlyTensorOutputs(const ort::OrtLibrary& library, const ort::SessionHandle* session) {
  const ort::Functions& api = library.api();
  std::size_t count = 0;
  library.Check(api.SessionGetOutputCount(session, &count));
  for (std::size_t i = 0; i < count; ++i) {
    ort::TypeInfo* raw = nullptr;
    library.Check(api.SessionGetOutputTypeInfo(session, i, &raw));
    const ort::Owned<ort::TypeInfo> type(raw, api.ReleaseTypeInfo);
    int kind = 0;
    library.Check(api.GetOnnxTypeFromTypeInfo(type.get(), &kind));
    if (kind != kOnnxTensor) return false;
  }
  return true;
}

std::optional<std::string> ReadWithoutZipMaps(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return WithoutZipMaps(content);
}

}  // namespace

ort::Owned<ort::SessionHandle> OpenSession(const ort::OrtLibrary& library, const ModelOptions& model,
                                           ThreadTeam& team) {
  const ort::Functions& api = library.api();
  const ort::Owned<ort::SessionOptions> options = OptionsFor(library, model, team);
  ort::SessionHandle* raw = nullptr;
  library.Check(api.CreateSession(library.env(), model.modelPath.c_str(), options.get(), &raw));
  ort::Owned<ort::SessionHandle> session(raw, api.ReleaseSession);
  if (HasOnlyTensorOutputs(library, raw)) return session;
  const std::optional<std::string> edited = ReadWithoutZipMaps(model.modelPath);
  if (!edited) return session;
  session.reset();
  team.Reset();
  // Where its external data lie, which a model in memory does not tell.
  const std::string folder = std::filesystem::path(model.modelPath).parent_path();
  library.Check(
      api.AddSessionConfigEntry(options.get(), "session.model_external_initializers_file_folder_path", folder.c_str()));
  library.Check(api.CreateSessionFromArray(library.env(), edited->data(), edited->size(), options.get(), &raw));
  return {raw, api.ReleaseSession};
}

}  // namespace interleave
