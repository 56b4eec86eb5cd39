// Between the DTOs of lib/addon.ts and the plain structs of the worker.
#pragma once

#include <napi.h>

#include "run/worker.h"

namespace interleave::binding {

// Throws a JS TypeError that names the property at fault.
WorkerOptions WorkerOptionsOf(const Napi::Object& options);

// The position of a model in the worker's plan.
std::size_t ModelOf(const Napi::Object& object);

CostGrid CostGridOf(const Napi::Object& grid);

// Without its `done`.
Probe ProbeOf(const Napi::Object& probe);

Napi::Array StatsToJs(Napi::Env env, const Engine& engine);
Napi::Array IsolationToJs(Napi::Env env, const Engine& engine);

}  // namespace interleave::binding
