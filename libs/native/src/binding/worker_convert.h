// Between the DTOs of lib/addon.ts and the plain structs of the worker.
#pragma once

#include <napi.h>

#include "run/worker.h"

namespace interleave::binding {

// CPU numbers that may come from JavaScript.
inline constexpr double kCpuMax = 1 << 16;

// The property `lane`.
Lane LaneOf(const Napi::Object& options);

// What all models of a worker have in common.
struct ModelSurroundings {
  std::string socketPath;
  std::shared_ptr<CudaProvider> cuda;  // null: no GPU
};

// These throw a JS TypeError that names the property at fault.
ModelSurroundings SurroundingsOf(const Napi::Object& options);
WorkerOptions WorkerOptionsOf(const Napi::Object& options, const ModelSurroundings& surroundings);
// NativeModelPlan[].
std::vector<ModelPlan> ModelPlansOf(const Napi::Value& value, const ModelSurroundings& surroundings);

// The property `revision`.
std::uint32_t RevisionOf(const Napi::Object& object);
std::vector<std::uint32_t> RevisionsOf(const Napi::Object& object, const char* key);
Napi::Array RevisionsToJs(Napi::Env env, const std::vector<std::uint32_t>& revisions);

CostGrid CostGridOf(const Napi::Object& grid);

// Without its `model` and `done`.
Probe ProbeOf(const Napi::Object& probe);

Napi::Array StatsToJs(Napi::Env env, const Engine& engine);
Napi::Object ToolToJs(Napi::Env env, const IsolationTool& tool);
Napi::Array ToolsToJs(Napi::Env env, const std::vector<IsolationTool>& tools);
Napi::Array IsolationToJs(Napi::Env env, const Engine& engine);

}  // namespace interleave::binding
