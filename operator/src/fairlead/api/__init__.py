"""The ModelDeployment resource: models, conditions and the CustomResourceDefinition made from them."""
