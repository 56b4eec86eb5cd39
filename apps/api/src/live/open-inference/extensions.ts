/** Those of Triton's protocol that this server has, by its names for them; `GET /v2` and its gRPC form list them. */
export const EXTENSIONS: readonly string[] = ['binary_tensor_data', 'schedule_policy', 'statistics', 'model_configuration'];
