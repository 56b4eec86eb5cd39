// One loaded model: an ONNX Runtime session with its signature, and the way to run items on it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "item.h"
#include "session/cuda_provider.h"
#include "session/ort_api.h"
#include "session/output_axes.h"
#include "session/pad_value.h"
#include "session/run_layout.h"
#include "session/scratch.h"
#include "session/signature.h"
#include "session/strings.h"
#include "session/thread_team.h"

namespace interleave {

struct ModelOptions {
  std::string modelPath{};
  SignatureOptions axes{};
  std::map<std::string, double> padValues{};  // by input name; others are padded with 0
  std::shared_ptr<CudaProvider> cuda{};       // null: on the CPU
  HelperPlan helpers{};
};

// The items of a run cannot share it after all; each must be run alone. Never thrown for a single item.
class NotTogether : public std::runtime_error {
 public:
  explicit NotTogether(const std::string& message) : std::runtime_error(message) {}
};

// One output of a run, in the runtime's memory.
struct RunOutput {
  std::size_t index = 0;
  ElementType type = ElementType::kFloat32;
  Shape shape;
  std::array<Axis, kRankMax> axes{};
  ort::Owned<ort::Value> value{nullptr, nullptr};
};

// Thread-safe: executors and the loader run on one session at the same time, each with a Scratch of its own, and
// without helpers. With helpers (HelperPlan) there is a session of the runtime for each team, whose helpers belong to
// one run at a time: a team has one caller. The sessions of a model open the same file in the same way, so that all
// answer alike.
class Session {
 public:
  // Throws ort::OrtError or SignatureError with the reason why the model cannot be served.
  static std::unique_ptr<Session> Load(std::shared_ptr<const ort::OrtLibrary> library, const ModelOptions& options);

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const ort::OrtLibrary& library() const { return *library_; }
  const Signature& signature() const { return signature_; }
  bool isOnGpu() const { return cuda_ != nullptr; }
  const OutputAxes& outputAxes() const { return outputAxes_; }
  // Threads on which a run of this team computes beside the caller's.
  std::span<const ThreadTeam::Thread> helpers(std::size_t team) const { return teams_[team].threads->threads(); }

  // Rows share runs as `mode` says from now on, for this reason. Before other threads know the session.
  void LimitMerging(CoalesceMode mode, std::string reason);

  // Runs items that passed CheckItem, laid out as `layout` says. `strings[i]` holds the decoded string inputs of item
  // i, by input; unused where there are none. `team` as in HelperPlan. Throws ort::OrtError when the runtime refuses or
  // fails, NotTogether when the outputs cannot be told apart.
  std::vector<RunOutput> Run(std::span<Item* const> items, const RunLayout& layout,
                             std::span<const std::vector<StringElements>> strings, Scratch& scratch,
                             const ort::RunOptions* options, std::size_t team = 0);

  // Runs one item for its cost only: the outputs are thrown away unseen, since made-up inputs teach nothing about what
  // output dimensions depend on. Throws ort::OrtError.
  void RunForCost(Item& item, const RunLayout& layout, const std::vector<StringElements>& strings, Scratch& scratch,
                  const ort::RunOptions* options, std::size_t team = 0);

  // Cuts the outputs that item number `part` asked for out of a run and writes them into its response. Returns the
  // bytes that they need when they do not fit, 0 when all is written.
  std::size_t Respond(const std::vector<RunOutput>& outputs, const RunLayout& layout, std::size_t part,
                      const Item& item) const;

 private:
  struct Team {
    std::unique_ptr<ThreadTeam> threads;
    ort::Owned<ort::SessionHandle> handle{nullptr, nullptr};  // joins the threads
  };

  Session(std::shared_ptr<const ort::OrtLibrary> library, const ModelOptions& options);

  static std::vector<Team> OpenTeams(const ort::OrtLibrary& library, const ModelOptions& options);
  // Of a session of the runtime; all of them say the same.
  ort::SessionHandle* handle() const { return teams_[0].handle.get(); }
  std::vector<TensorDeclaration> ReadDeclarations(bool outputs) const;
  // Returns why the input or output cannot be served, or "".
  std::string ReadDeclaration(std::size_t index, bool isOutput, TensorDeclaration& declaration) const;
  void SetPadValues(const std::map<std::string, double>& padValues);
  Shape RunShape(std::size_t input, std::span<Item* const> items, const RunLayout& layout) const;
  ort::Owned<ort::Value> Pack(std::size_t input, const Shape& shape, std::span<Item* const> items,
                              const RunLayout& layout, std::span<const std::vector<StringElements>> strings,
                              std::byte* buffer) const;
  ort::Owned<ort::Value> PackStrings(std::size_t input, const Shape& shape, std::span<Item* const> items,
                                     const RunLayout& layout,
                                     std::span<const std::vector<StringElements>> strings) const;
  // The outputs wanted of a run, without their shapes.
  std::vector<RunOutput> Compute(std::span<Item* const> items, const RunLayout& layout,
                                 std::span<const std::vector<StringElements>> strings, Scratch& scratch,
                                 const ort::RunOptions* options, std::size_t team);
  std::string NotTogetherReason(const RunOutput& output, const RunLayout& layout) const;
  std::vector<std::size_t> WantedOutputs(std::span<Item* const> items) const;

  std::shared_ptr<const ort::OrtLibrary> library_;
  std::shared_ptr<CudaProvider> cuda_;  // null: on the CPU
  const std::vector<Team> teams_;
  Signature signature_;
  std::vector<PadValue> padValues_;  // by input
  std::vector<const char*> inputNames_;
  std::vector<const char*> outputNames_;
  OutputAxes outputAxes_;
};

}  // namespace interleave
