// Between the DTOs of lib/addon.ts and the plain structs of the worker.
#pragma once

#include <napi.h>

#include "run/worker.h"

namespace interleave::binding {

// CPU numbers that may come from JavaScript.
inline constexpr double kCpuMax = 1 << 16;

// The property `lane`.
Lane LaneOf(const Napi::Object& options);

// Throws a JS TypeError that names the property at fault.
WorkerOptions WorkerOptionsOf(const Napi::Object& options);

// The position of a model in the worker's plan.
std::size_t ModelOf(const Napi::Object& object);

CostGrid CostGridOf(const Napi::Object& grid);

// Without its `done`.
Probe ProbeOf(const Napi::Object& probe);

Napi::Array StatsToJs(Napi::Env env, const Engine& engine);
Napi::Object ToolToJs(Napi::Env env, const IsolationTool& tool);
Napi::Array ToolsToJs(Napi::Env env, const std::vector<IsolationTool>& tools);
Napi::Array IsolationToJs(Napi::Env env, const Engine& engine);

}  // namespace interleave::binding
